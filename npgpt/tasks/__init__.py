"""Tasks: what a model is trained to do. A task brings batches, their loss and its gradients."""
