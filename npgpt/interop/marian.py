"""Encoder-decoders in Hugging Face's files: the tensors of MarianMTModel, and the fields of MarianConfig."""
import re
from collections.abc import Iterator, Mapping

import numpy as np

from npgpt.errors import InputError
from npgpt.interop.family import (Family, Stored, configuration, fields_of, one_of_qkv, plain, renamed, require_fixed, same,
                                  transposed)
from npgpt.interop.positions import is_sinusoidal
from npgpt.interop.safetensors import as_float, is_float
from npgpt.interop.tokenizer_files import ending_template
from npgpt.model.encoder_decoder import EncoderDecoderParameters
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig

NAMES = {"d_model": "n_embd", "max_position_embeddings": "n_positions", "encoder_layers": "n_layer",
         "decoder_layers": "n_decoder_layer", "encoder_attention_heads": "n_head", "decoder_attention_heads": "n_head",
         "encoder_ffn_dim": "n_inner", "decoder_ffn_dim": "n_inner", "dropout": "resid_pdrop",
         "attention_dropout": "attn_pdrop", "init_std": "initializer_range",
         **same("vocab_size", "activation_function", "bos_token_id", "eos_token_id", "pad_token_id")}
# Settings that change the computation, each with the only value that npgpt supports.
FIXED = {"scale_embedding": True, "share_encoder_decoder_embeddings": True, "tie_word_embeddings": True,
         "normalize_before": False, "normalize_embedding": False, "add_final_layer_norm": False, "activation_dropout": 0.0,
         "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0}
# What MarianConfig assumes where a file says nothing.
DEFAULTS = {"vocab_size": 58101, "d_model": 1024, "max_position_embeddings": 1024, "encoder_layers": 12,
            "decoder_layers": 12, "encoder_attention_heads": 16, "decoder_attention_heads": 16, "encoder_ffn_dim": 4096,
            "decoder_ffn_dim": 4096, "activation_function": "gelu", "scale_embedding": False,
            "pad_token_id": 58100, "eos_token_id": 0}
EPSILON = 1e-5                                  # of layer norm
TABLE, UNEMBEDDING, PREFIX = "shared.weight", "lm_head.weight", "model."
COPY = re.compile(r"(model\.)?(encoder|decoder)\.embed_tokens\.weight|lm_head\.weight")
POSITIONS = re.compile(r"(model\.)?(encoder|decoder)\.embed_positions\.weight")
LOGITS_BIAS = "final_logits_bias"


def parse_config(stored: dict) -> EncoderDecoderConfig:
    stored = {**DEFAULTS, **stored}
    require_fixed(stored, FIXED)
    for name, other in (("decoder_start_token_id", "pad_token_id"), ("decoder_vocab_size", "vocab_size")):
        if stored.get(name) not in (None, stored[other]):
            raise InputError(f"{name} is {stored[name]!r}; npgpt supports {other}, {stored[other]!r}, only")
    config = configuration(EncoderDecoderConfig, renamed(stored, NAMES), NAMES.values())
    if config.pad_token_id is None:
        raise InputError(f"pad_token_id must be below vocab_size ({config.vocab_size}): targets begin with it")
    return config


def fields(config: EncoderDecoderConfig) -> dict[str, object]:
    """Raises InputError for what this format cannot hold."""
    if config.layer_norm_epsilon != EPSILON or config.pad_token_id is None:
        raise InputError(f"an encoder-decoder is stored as MarianMTModel, which has layer_norm_epsilon {EPSILON} "
                         "and a pad token")
    return {**FIXED, **fields_of(config, NAMES, n_inner=config.inner, n_decoder_layer=config.decoder_layers),
            "decoder_vocab_size": config.vocab_size, "decoder_start_token_id": config.pad_token_id,
            "forced_eos_token_id": None, "is_encoder_decoder": True}


def body(p: EncoderDecoderParameters, config: EncoderDecoderConfig) -> dict[str, Stored]:
    H = config.n_head
    tensors = {TABLE: plain(p.shared)}
    for i, b in enumerate(p.encoder):
        tensors |= layer(f"encoder.layers.{i}", {"self_attn_layer_norm": b.ln_1, "fc1": b.mlp[:2], "fc2": b.mlp[2:],
                                                 "final_layer_norm": b.ln_2, **self_attention(b.attn, H)})
    for i, (m, b) in enumerate(zip(p.memory, p.decoder, strict=True)):
        tensors |= layer(f"decoder.layers.{i}", {
            "self_attn_layer_norm": b.ln_1, "encoder_attn_layer_norm": b.ln_2, "fc1": b.mlp[:2], "fc2": b.mlp[2:],
            "final_layer_norm": b.ln_3, **self_attention(b.attn, H),
            "encoder_attn.q_proj": b.attend[:2], "encoder_attn.out_proj": b.attend[2:],
            "encoder_attn.k_proj": [one_of_qkv(array, H, 0, parts=2) for array in m],
            "encoder_attn.v_proj": [one_of_qkv(array, H, 1, parts=2) for array in m]})
    return tensors


def self_attention(attn: tuple, n_head: int) -> dict[str, list]:
    projections = {f"self_attn.{name}_proj": [one_of_qkv(array, n_head, which) for array in attn[:2]]
                   for which, name in enumerate("qkv")}
    return {**projections, "self_attn.out_proj": attn[2:]}


def layer(prefix: str, parts: Mapping[str, tuple]) -> dict[str, Stored]:
    """The two tensors of each part, weight and bias. Matrices that are not Stored yet are transposed."""
    tensors = {}
    for name, arrays in parts.items():
        for kind, array in zip(("weight", "bias"), arrays, strict=True):
            stored = array if isinstance(array, Stored) else transposed(array) if array.ndim == 2 else plain(array)
            tensors[f"{prefix}.{name}.{kind}"] = stored
    return tensors


def parameters_alone(tensors: Mapping[str, np.ndarray], config: EncoderDecoderConfig) -> dict[str, np.ndarray]:
    """The tensors without copies of the shared table, positions, and a bias of the logits that is 0.

    Raises InputError if one of them is not what npgpt computes with.
    """
    tensors = dict(tensors)
    copies = {name: tensors.pop(name) for name in list(tensors) if COPY.fullmatch(name)}
    prefix = PREFIX if any(name.startswith(PREFIX) for name in (*tensors, *copies)) else ""
    if copies:
        tensors.setdefault(prefix + TABLE, next(iter(copies.values())))
    different = [name for name, copy in copies.items() if not equal(copy, tensors[prefix + TABLE])]
    for name in [name for name in tensors if POSITIONS.fullmatch(name) or name == LOGITS_BIAS]:
        tensor = tensors.pop(name)
        if not (is_zero(tensor) if name == LOGITS_BIAS else are_positions(tensor, config)):
            different.append(name)
    if different:
        raise InputError(f"npgpt supports one shared table, sinusoidal positions and no bias of the logits, but "
                         f"{', '.join(different)} differs from that")
    return tensors


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and all(np.array_equal(*rows, equal_nan=True) for rows in zip(*map(as_rows, (a, b))))


def as_rows(tensor: np.ndarray) -> Iterator[np.ndarray]:
    """The rows as floats. A tensor without entries has none: its shape may have any number of them."""
    return map(as_float, np.atleast_2d(tensor) if tensor.size else ())


def is_zero(tensor: np.ndarray) -> bool:
    return not any(row.any() for row in as_rows(tensor))


def are_positions(tensor: np.ndarray, config: EncoderDecoderConfig) -> bool:
    """Whether these are the sinusoidal positions of a model, which transformers computes in float32."""
    return (is_float(tensor) and tensor.ndim == 2 and tensor.shape[1] == config.n_embd
            and is_sinusoidal(tensor, halves=True, least=float(np.finfo(np.float32).eps)))


MARIAN = Family(
    model_type="marian", class_prefix="Marian", language_model="MTModel", parse_config=parse_config, fields=fields,
    prefix=PREFIX, body=body, head=lambda p, config: {}, table=TABLE, unembedding=UNEMBEDDING, template=ending_template,
    parameters_alone=parameters_alone)
