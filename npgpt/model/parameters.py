"""Parameters: one flat vector, and named views of it. parameter_shapes is the one truth about both."""
import functools
import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from npgpt.model.config import GPTConfig

PREFIX = "transformer."


@functools.cache
def parameter_shapes(config: GPTConfig) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order of the flat vector, named as in GPT2LMHeadModel."""
    C, I = config.n_embd, config.inner
    shapes = {"wte.weight": (config.vocab_size, C)}
    if config.position_embedding_type == "learned":
        shapes["wpe.weight"] = (config.n_positions, C)
    for i in range(config.n_layer):
        shapes |= {f"h.{i}.{name}": shape for name, shape in block_shapes(C, I).items()}
    shapes |= {"ln_f.weight": (C,), "ln_f.bias": (C,)}
    shapes = {PREFIX + name: shape for name, shape in shapes.items()}
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, C)
    return MappingProxyType(shapes)


def block_shapes(C: int, I: int) -> dict[str, tuple[int, ...]]:
    """One block's parameters, in the order in which `block` takes them."""
    return {
        "ln_1.weight": (C,), "ln_1.bias": (C,),
        "attn.c_attn.weight": (C, 3 * C), "attn.c_attn.bias": (3 * C,),
        "attn.c_proj.weight": (C, C), "attn.c_proj.bias": (C,),
        "ln_2.weight": (C,), "ln_2.bias": (C,),
        "mlp.c_fc.weight": (C, I), "mlp.c_fc.bias": (I,),
        "mlp.c_proj.weight": (I, C), "mlp.c_proj.bias": (C,),
    }


@functools.cache
def parameter_count(config: GPTConfig) -> int:
    return sum(math.prod(shape) for shape in parameter_shapes(config).values())


def named_views(vector: np.ndarray, config: GPTConfig) -> Mapping[str, np.ndarray]:
    """Views of a flat vector of parameters, gradients or moments, by name.

    Writing into a view writes into the vector. The mapping is read-only, because a view that is put in
    another's place would part from the vector silently: write view[...] = value. Raises ValueError for a
    vector of another length.
    """
    shapes = parameter_shapes(config)
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes.values()))
    if ends[-1] != len(vector):
        raise ValueError(f"this configuration has {ends[-1]:,} parameters, the vector holds {len(vector):,}")
    views = {name: vector[start:end].reshape(shape)
             for (name, shape), start, end in zip(shapes.items(), [0, *ends], ends)}
    return MappingProxyType(views)


def block_views(views: Mapping[str, np.ndarray], i: int) -> list[np.ndarray]:
    """The parameters of block i, in the order in which `block` takes them."""
    prefix = f"{PREFIX}h.{i}."
    return [view for name, view in views.items() if name.startswith(prefix)]


def head_name(config: GPTConfig) -> str:
    """The table that scores the tokens: the embedding's own where tied."""
    return PREFIX + "wte.weight" if config.tie_word_embeddings else "lm_head.weight"


def initial_parameters(config: GPTConfig, seed: int = 0, dtype: np.dtype = np.float32) -> np.ndarray:
    """GPT-2's initialisation (Radford et al. 2019, section 2.3)  ->  the flat vector.

    Matrices and embeddings are normal with deviation initializer_range (0.02), biases 0, gains 1. What
    is added to the residual stream, 2 n_layer times in all, starts smaller by sqrt(2 n_layer), so that
    the stream's variance does not grow with depth.
    """
    rng = np.random.default_rng(seed)
    vector = np.empty(parameter_count(config), dtype)
    for name, view in named_views(vector, config).items():
        deviation = config.initializer_range
        if name.endswith("c_proj.weight"):
            deviation /= math.sqrt(2 * config.n_layer)
        if name.endswith(".bias"):
            view[...] = 0
        elif is_gain(name):
            view[...] = 1
        else:
            view[...] = rng.normal(0, deviation, view.shape)
    return vector


def is_gain(name: str) -> bool:
    return ".ln_" in name and name.endswith(".weight")


def decays(name: str) -> bool:
    """Whether weight decay acts on a parameter: on matrices and embeddings, not on gains and biases."""
    return name.endswith(".weight") and not is_gain(name)
