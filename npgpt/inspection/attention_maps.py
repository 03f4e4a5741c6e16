"""Attention maps for a session or a notebook: they print as text, and a notebook shows them as a picture."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npgpt.errors import InputError
from npgpt.inspection.attention import attended
from npgpt.inspection.attention_picture import attention_picture
from npgpt.inspection.heat_map import heat_maps, legend, map_width
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.tasks.masking import encode_masked
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
    """What each head of a GPT or BERT attends to in a text  ->  maps that print, and that a notebook shows as a picture

    layers, heads: which to show, counted from 0 (default: all). Raises InputError for a number that the model does not
    have, for a text that is empty or longer than its context, for a model without a tokenizer, an encoder-decoder, or a BERT
    with a head for labelled examples.
    """
    config, is_bert = model.config, isinstance(model.config, BertConfig)
    if model.tokenizer is None:
        raise InputError("attention_maps needs a model with a tokenizer")
    if is_bert and model.heads:
        raise InputError(f"attention_maps needs a masked language model: this BERT has a head for {model.heads[0].kind}")
    if not isinstance(config, (GPTConfig, BertConfig)):
        raise InputError("attention_maps shows a GPT or BERT: npgpt translate --svg shows what a translation attends to")
    ids = encode_masked(text, model.tokenizer) if is_bert else model.tokenizer.encode(text)
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
