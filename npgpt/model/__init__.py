"""The model: what a GPT is, how its parameters lie in memory, and its forward and backward pass."""
