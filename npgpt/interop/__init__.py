"""Interop: model directories of Hugging Face's transformers, read and written."""
