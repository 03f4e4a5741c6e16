"""Heads: from the hidden states of a body to predictions."""
import functools

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, gpt_table
from npgpt.model.parameters import weight


@functools.cache
def language_model_table(config: GPTConfig) -> GPTParameters:
    """The parameter table of a GPT with a language-model head. A tied head uses wte and has no parameters of its own."""
    untied = weight(config.vocab_size, config.n_embd, deviation=config.initializer_range)
    return gpt_table(config, head=None if config.tie_word_embeddings else untied)


def language_model_head(p: GPTParameters) -> np.ndarray:
    """The head's weights (V, C), in the groups of the parameters or of their gradients: wte itself where it is tied."""
    return p.wte if p.head is None else p.head
