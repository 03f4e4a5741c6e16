"""Configurations by name: small ones to learn with, and the four of GPT-2."""
import dataclasses
import math

from npgpt.errors import InputError
from npgpt.model.config import GPTConfig

GPT2_WIDTH, GPT2_RANGE = 768, 0.02       # the narrowest GPT-2, and its initializer_range

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
    """A configuration by name, with some fields changed. A new model is initialised as its width asks for, unless
    initializer_range is among the changes. Raises InputError for an unknown name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    config = dataclasses.replace(PRESETS[name], **changes)
    return dataclasses.replace(config, **{"initializer_range": initializer_range(config.n_embd), **changes})


def initializer_range(n_embd: int) -> float:
    """The standard deviation with which matrices and embeddings of a new model start.

        0.02                    from 768 channels on, as in GPT-2
        0.8 / sqrt(n_embd)      for narrower models

    Entries of x W have a variance of n_embd times that of W's entries, where x is normalised. With 0.02 and few
    channels, queries, keys and logits are small, and training begins slowly.
    """
    return GPT2_RANGE if n_embd >= GPT2_WIDTH else round(0.8 / math.sqrt(n_embd), 4)
