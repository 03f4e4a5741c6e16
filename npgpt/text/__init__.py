"""Text: tokenizers, and the texts and examples that models are trained on."""
