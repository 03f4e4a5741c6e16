"""Views: the parameters by use, found once, for in a small model finding them takes as long as using them."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.embedding import sinusoidal_positions
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import block_views, head_name, named_views


class Views(NamedTuple):
    tokens: np.ndarray                # (V, C)
    positions: np.ndarray             # (n_positions, C)
    blocks: list[list[np.ndarray]]
    gain: np.ndarray                  # (C,)
    bias: np.ndarray                  # (C,)
    head: np.ndarray                  # (V, C)
    config: GPTConfig


def arrange(parameters: np.ndarray, config: GPTConfig) -> Views:
    p = named_views(parameters, config)
    learned = config.position_embedding_type == "learned"
    positions = (p["transformer.wpe.weight"] if learned
                 else sinusoidal_positions(config.n_positions, config.n_embd, parameters.dtype))
    return Views(p["transformer.wte.weight"], positions, [block_views(p, i) for i in range(config.n_layer)],
                 p["transformer.ln_f.weight"], p["transformer.ln_f.bias"], p[head_name(config)], config)
