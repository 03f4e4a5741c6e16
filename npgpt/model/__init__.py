"""The model: what a GPT is, how its parameters are stored, and its forward and backward pass."""
