"""Generation: a model continues a text, token by token."""
