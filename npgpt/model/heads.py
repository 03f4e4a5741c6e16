"""Heads: what stands on a body to make predictions of its hidden states."""
import functools

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, gpt_table
from npgpt.model.parameters import weight


@functools.cache
def language_model_table(config: GPTConfig) -> GPTParameters:
    """The table of a GPT with a language-model head: of its own (V, C), or tied to the table of tokens."""
    untied = weight(config.vocab_size, config.n_embd, deviation=config.initializer_range)
    return gpt_table(config, head=None if config.tie_word_embeddings else untied)


def language_model_head(p: GPTParameters) -> np.ndarray:
    """(V, C), the table whose rows give the tokens' logits: of parameters, or of their gradients."""
    return p.wte if p.head is None else p.head
