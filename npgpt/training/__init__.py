"""Training: learning rate, gradients, update, and the loop of them."""
