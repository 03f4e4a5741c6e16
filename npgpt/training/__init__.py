"""Training: what one step is."""
