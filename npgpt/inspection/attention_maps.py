"""Attention maps for a session or a notebook: they print as text, and a notebook shows them as a picture."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npgpt.errors import InputError
from npgpt.inspection.attention import attended
from npgpt.inspection.attention_picture import attention_picture
from npgpt.inspection.heat_map import heat_maps, legend, map_width
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.text.corpus import require_ids
from npgpt.text.shown import printable

WIDTH = 120              # columns
MOST = 24                # maps


@dataclass(frozen=True, eq=False, repr=False)
class AttentionMaps:
    """What some heads of a model attend to in one text."""
    weights: np.ndarray                         # (L, H, T, T), of all heads: of position s for position t
    tokens: tuple[str, ...]                     # T, as text
    layers: tuple[int, ...]                     # those that are shown
    heads: tuple[int, ...]

    def __repr__(self) -> str:
        cell = 2 if map_width(self.tokens, 2) <= WIDTH else 1
        layers = self.layers[:max(MOST // len(self.heads), 1)]
        lines = [legend(), *heat_maps(self.weights, layers, self.heads, self.tokens, cell, WIDTH)]
        if len(layers) < len(self.layers):
            lines += ["", f"and those of layers {layers[-1] + 1} to {self.layers[-1]}: choose with layers= and heads="]
        return "\n".join(lines)

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        chosen = self.weights[np.ix_(self.layers, self.heads)]
        return attention_picture(self.tokens, chosen, self.layers, self.heads).decode()


def attention_maps(model: Model, text: str, layers: Sequence[int] | None = None,
                   heads: Sequence[int] | None = None) -> AttentionMaps:
    """What each head of a GPT attends to in a text  ->  maps that print, and that a notebook shows as a picture

    layers, heads: which to show, counted from 0 (default: all). Raises InputError for a number that the model does not
    have, for a text that is empty or longer than its context, and for a model that is no GPT or has no tokenizer.
    """
    config = model.config
    if not isinstance(config, GPTConfig) or model.tokenizer is None:
        raise InputError("attention_maps needs a GPT with a tokenizer: for other models, use npgpt attention or npgpt "
                         "translate")
    ids = model.tokenizer.encode(text)
    if not 1 <= len(ids) <= config.n_positions:
        raise InputError(f"the text has {len(ids)} tokens; from 1 to {config.n_positions} fit this model")
    require_ids(ids, config.vocab_size)
    weights, _ = attended(ids, model.parameters, config)
    return AttentionMaps(weights, tuple(printable(i, model.tokenizer) for i in ids.tolist()),
                         chosen("layers", layers, config.n_layer), chosen("heads", heads, config.n_head))


def chosen(name: str, wanted: Sequence[int] | None, number: int) -> tuple[int, ...]:
    """The numbers of layers or heads, by default all. Raises InputError for one that the model does not have."""
    for one in wanted or ():
        if not 0 <= one < number:
            raise InputError(f"{name} must be from 0 to {number - 1} in this model, not {one}")
    return tuple(dict.fromkeys(wanted)) if wanted else tuple(range(number))
