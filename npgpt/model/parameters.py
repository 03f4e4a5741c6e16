"""Parameters: one flat vector, and groups of named views of it.

A *table* describes a model's parameters: nested named tuples in the order of the layers' arguments, with one row, a
`Parameter`, for each array. `groups(vector, table)` has the same structure, with views of the vector in the places of
the rows, so that a block reads layer_norm(x, *p.ln_1). Gradients and moments are further vectors of the same layout.
"""
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

Group = Any                 # a named tuple or list of groups, a leaf, or None where a model has no such parameter
Rows = tuple[np.ndarray, np.ndarray]       # N distinct ids, and the gradients (N, C) of their rows of an embedding


class Parameter(NamedTuple):
    """A row of the table. The array is initialised from the normal distribution with this mean and standard deviation."""
    shape: tuple[int, ...]
    mean: float = 0.0
    deviation: float = 0.0
    decays: bool = False                        # whether weight decay acts on it

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class LayerNormParameters(NamedTuple):
    gain: Any                                   # (C,)
    bias: Any                                   # (C,)


class AttentionParameters(NamedTuple):
    w_qkv: Any                                  # (C, 3C): for each head the columns of q, k and v
    b_qkv: Any                                  # (3C,); None where there is no bias
    w_proj: Any                                 # (C, C)
    b_proj: Any                                 # (C,)


class FeedForwardParameters(NamedTuple):
    w_up: Any                                   # (C, I)
    b_up: Any                                   # (I,)
    w_down: Any                                 # (I, C)
    b_down: Any                                 # (C,)


class BlockParameters(NamedTuple):
    ln_1: LayerNormParameters
    attn: AttentionParameters
    ln_2: LayerNormParameters
    mlp: FeedForwardParameters


def weight(*shape: int, deviation: float) -> Parameter:
    """A matrix. Weight decay acts on these, not on gains and biases."""
    return Parameter(shape, deviation=deviation, decays=True)


def bias(*shape: int) -> Parameter:
    return Parameter(shape)


def layer_norm_table(C: int) -> LayerNormParameters:
    return LayerNormParameters(gain=Parameter((C,), mean=1.0), bias=bias(C))


def block_table(C: int, I: int, deviation: float, residual_deviation: float, qkv_bias: bool = True) -> BlockParameters:
    """residual_deviation: of the two matrices whose results are added to the residual stream."""
    return BlockParameters(
        ln_1=layer_norm_table(C),
        attn=AttentionParameters(w_qkv=weight(C, 3 * C, deviation=deviation), b_qkv=bias(3 * C) if qkv_bias else None,
                                 w_proj=weight(C, C, deviation=residual_deviation), b_proj=bias(C)),
        ln_2=layer_norm_table(C),
        mlp=FeedForwardParameters(w_up=weight(C, I, deviation=deviation), b_up=bias(I),
                                  w_down=weight(I, C, deviation=residual_deviation), b_down=bias(C)))


def map_leaves(function: Callable[[Any], Any], group: Group) -> Group:
    """The same groups, with function(leaf) in the place of every leaf; called in order."""
    if group is None:
        return None
    if type(group) is Parameter or not isinstance(group, (list, tuple)):
        return function(group)
    parts = [map_leaves(function, part) for part in group]
    return group._make(parts) if hasattr(group, "_make") else type(group)(parts)


def named_leaves(group: Group, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested groups, in order, with its name: blocks.0.attn.w_qkv"""
    if isinstance(group, (list, tuple)) and type(group) is not Parameter:
        fields = group._fields if hasattr(group, "_fields") else range(len(group))
        for field, part in zip(fields, group):
            yield from named_leaves(part, f"{name}.{field}" if name else str(field))
    elif group is not None:
        yield name, group


def parameter_count(table: Group) -> int:
    return sum(row.size for _, row in named_leaves(table))


def groups(vector: np.ndarray, table: Group) -> Group:
    """The table's groups with views of a flat vector in the places of the rows. Raises ValueError for another length."""
    stop = 0

    def view(row: Parameter) -> np.ndarray:
        nonlocal stop
        start, stop = stop, stop + row.size
        return vector[start:stop].reshape(row.shape)

    try:
        nested = map_leaves(view, table)
    except ValueError:                          # the last view would be too short
        stop = None
    if stop != len(vector):
        raise ValueError(f"this model has {parameter_count(table):,} parameters, the vector holds {len(vector):,}")
    return nested


def named_views(vector: np.ndarray, table: Group) -> dict[str, np.ndarray]:
    """The views of groups in one dictionary, by name."""
    return dict(named_leaves(groups(vector, table)))


def initial_parameters(table: Group, seed: int = 0, dtype: DTypeLike = np.float32) -> np.ndarray:
    """The flat vector that training starts from, drawn as the table says."""
    rng = np.random.default_rng(seed)
    vector = np.empty(parameter_count(table), dtype)
    for (_, row), view in zip(named_leaves(table), named_views(vector, table).values()):
        view[...] = rng.normal(row.mean, row.deviation, row.shape) if row.deviation else row.mean
    return vector
