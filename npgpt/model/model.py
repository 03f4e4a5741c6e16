"""A model: parameters, configuration, tokenizer and heads."""
from typing import NamedTuple

import numpy as np

from npgpt.model.config import TransformerConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.parameters import Group
from npgpt.text.tokenizer import Tokenizer


class Model(NamedTuple):
    parameters: np.ndarray                      # one flat vector; model/parameters.py gives its parts names
    config: TransformerConfig
    tokenizer: Tokenizer | None                 # None where a model directory holds none
    heads: tuple[Head, ...] = ()                # those beside the head for tokens

    @property
    def table(self) -> Group:
        """Describes the vector of parameters."""
        return model_table(self.config, self.heads)

    def __repr__(self) -> str:
        c = self.config
        tokenizer = type(self.tokenizer).__name__ if self.tokenizer else "no tokenizer"
        return (f"Model({len(self.parameters):,} parameters in {self.parameters.dtype}: {c.n_layer} layers, "
                f"{c.n_head} heads, {c.n_embd} channels, context {c.n_positions}, vocabulary size {c.vocab_size:,}; "
                f"{tokenizer})")
