"""Tasks: what a model is trained to do. A task provides batches, their loss and its gradients."""
