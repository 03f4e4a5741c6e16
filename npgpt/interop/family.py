"""Families: models that are stored alike. Each has a file here, with its names for tensors and its fields of config.json."""
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.model.config import TransformerConfig, is_integer
from npgpt.model.heads import Head
from npgpt.text.base_tokenizer import Tokenizer

NONE = re.compile(r"(?!)")                      # matches nothing
# Other names of GELU's tanh form. gelu_fast has ten digits of sqrt(2/pi), so that it differs by 4e-12.
TANH_GELU = ("gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate")


class Stored(NamedTuple):
    """A tensor of a file, as a view of the flat vector."""
    view: np.ndarray                            # its entries in the file's order, but maybe in another shape
    shape: tuple[int, ...]                      # in the file
    factor: float = 1.0                         # the file holds factor * view


class Family(NamedTuple):
    """What differs between families of models in Hugging Face's files."""
    model_type: str                             # of config.json
    class_prefix: str                           # of transformers' class names: GPT2 of GPT2LMHeadModel
    language_model: str                         # the rest of the class name of the model with a language-model head
    parse_config: Callable[[dict], Any]         # the fields of config.json -> configuration; raises InputError
    fields: Callable[[Any], dict]               # the reverse
    prefix: str                                 # of the names of the body's tensors; files of a body alone omit it
    body: Callable[[Any, Any], dict]            # groups, configuration -> {name without the prefix: Stored}
    head: Callable[[Any, Any], dict]            # the same for the language-model head's own tensors, with their full names
    table: str                                  # the token embedding, without the prefix;
    unembedding: str                            # and the tied head, which may repeat it in a file
    template: Callable[[Tokenizer, Any, tuple[Head, ...]], dict]       # fields of tokenizer.json: what is around a text
    inputs: tuple[str, ...] = ()                # names of the model's inputs, where transformers' default lacks one
    ignored: re.Pattern = NONE                  # names of tensors that are no parameters
    parameters_alone: Callable[[Mapping, Any], Mapping] = lambda tensors, config: tensors      # without repeated tensors


def plain(array: np.ndarray) -> Stored:
    return Stored(array, array.shape)


def transposed(w: np.ndarray) -> Stored:
    """A matrix (in, out), which PyTorch's Linear stores as (out, in)."""
    return Stored(w.T, w.T.shape)


def queries_keys_values(array: np.ndarray, n_head: int) -> Stored:
    """w_qkv (C, 3A) or b_qkv (3A,), whose last axis in the file is that of all queries, then of all keys, then of all
    values. In npgpt it is that of the first head's query, key and value, then of the second's, and so on.
    """
    return Stored(by_head(array, n_head).swapaxes(-3, -2), array.shape)


def one_of_qkv(array: np.ndarray, n_head: int, which: int, factor: float = 1.0, parts: int = 3) -> Stored:
    """The queries (which = 0), keys (1) or values (2) of w_qkv (C, 3A) as (A, C), or of b_qkv (3A,) as (A,); with parts = 2,
    the keys (0) or values (1) of w_kv (C, 2A) or b_kv (2A,).
    """
    heads = by_head(array, n_head, parts)[..., which, :]                               # (..., H, D)
    A = heads.shape[-2] * heads.shape[-1]
    return Stored(np.moveaxis(heads, 0, -1), (A, len(array)), factor) if array.ndim == 2 else Stored(heads, (A,), factor)


def by_head(array: np.ndarray, n_head: int, parts: int = 3) -> np.ndarray:
    """(..., parts A)  ->  (..., H, parts, D): a view"""
    return array.reshape(*array.shape[:-1], n_head, parts, -1)


def require_fixed(stored: Mapping, fixed: Mapping[str, object]) -> None:
    """Raise InputError unless settings that change the computation have the only values that npgpt supports."""
    for name, value in fixed.items():
        if stored.get(name, value) != value:
            raise InputError(f"{name} is {stored[name]!r}; npgpt supports {value!r} only")


def same(*names: str) -> dict[str, str]:
    """For renamed: fields that have npgpt's names in the file."""
    return dict(zip(names, names))


def renamed(stored: Mapping, names: Mapping[str, str]) -> dict:
    """The fields with npgpt's names in the place of the file's. Raises InputError where two names have different values."""
    fields = {name: value for name, value in stored.items() if name not in names}
    for name, ours in names.items():
        if name in stored and fields.setdefault(ours, stored[name]) != stored[name]:
            raise InputError(f"{name} is {stored[name]!r} where {ours} is {fields[ours]!r}; both mean the same size")
    return fields


def fields_of(config: TransformerConfig, names: Mapping[str, str], **values: object) -> dict[str, object]:
    """The reverse of renamed: the configuration's fields under the file's names. values: of those that differ there."""
    return {name: values.get(ours, getattr(config, ours)) for name, ours in names.items()}


def configuration(config_class: type, fields: Mapping, known: Collection[str]) -> Any:
    """A configuration of those fields that are known. Token ids that never occur become None."""
    kept = {name: value for name, value in fields.items() if name in known}
    if kept.get("activation_function") in TANH_GELU:
        kept["activation_function"] = "gelu_new"
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if name in kept:
            kept[name] = tokens_that_occur(kept[name], kept.get("vocab_size", config_class.vocab_size))
    return config_class(**kept)


def tokens_that_occur(stored: object, vocab_size: object) -> object:
    """A token id or a list of them, without those outside the vocabulary: transformers writes GPT-2's 50256 for smaller
    vocabularies too, and -1 for none.
    """
    tokens = stored if isinstance(stored, list) else [stored]
    occurring = [token for token in tokens if not (is_integer(token) and is_integer(vocab_size)
                                                   and not 0 <= token < vocab_size)]
    if not occurring:
        return None
    return tuple(occurring) if isinstance(stored, list) else occurring[0]
