"""Configurations by name: small ones to learn with, and the four of GPT-2."""
import dataclasses

from npgpt.errors import InputError
from npgpt.model.config import GPTConfig

PRESETS = {
    "tiny": GPTConfig(vocab_size=11, n_positions=8, n_embd=12, n_layer=2, n_head=3).without_dropout(),
    "small": GPTConfig(vocab_size=65, n_positions=64, n_embd=128, n_layer=4, n_head=4).without_dropout(),
    "medium": GPTConfig(vocab_size=65, n_positions=256, n_embd=384, n_layer=6, n_head=6),
    "gpt2": GPTConfig(n_embd=768, n_layer=12, n_head=12, bos_token_id=50256, eos_token_id=50256),
    "gpt2-medium": GPTConfig(n_embd=1024, n_layer=24, n_head=16, bos_token_id=50256, eos_token_id=50256),
    "gpt2-large": GPTConfig(n_embd=1280, n_layer=36, n_head=20, bos_token_id=50256, eos_token_id=50256),
    "gpt2-xl": GPTConfig(n_embd=1600, n_layer=48, n_head=25, bos_token_id=50256, eos_token_id=50256),
}


def preset(name: str, **changes) -> GPTConfig:
    """A configuration by name, with some fields changed. Raises InputError for an unknown name."""
    if name not in PRESETS:
        raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)
