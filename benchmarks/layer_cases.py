"""What `layers` measures: every layer, with arguments of a shape's size, and the least work that it has to do."""
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.roofline import Work, attention_flops, block_flops
from benchmarks.shapes import DTYPE, Shape
from npgpt.layers.activations import gelu, gelu_backward, relu, relu_backward
from npgpt.layers.attention import attention, attention_backward, causal_mask
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.self_attention import self_attention, self_attention_backward
from npgpt.layers.softmax import softmax, softmax_backward
from npgpt.model.block import block, block_backward
from npgpt.model.parameters import Group, block_table, groups, initial_parameters, named_leaves


class Case(NamedTuple):
    """A layer pair with arguments. `flops` are those of forward's matrix products; backward has twice as many."""
    forward: Callable
    backward: Callable
    arguments: list
    flops: int = 0
    settings: dict = {}

    @property
    def name(self) -> str:
        return self.forward.__name__


def cases(shape: Shape) -> Iterator[Case]:
    """One after another, so that only one case's arguments take memory at a time, beside those that several share."""
    config, B, T = shape.config, shape.B, shape.T
    C, I, H, V = config.n_embd, config.inner, config.n_head, config.vocab_size
    rng = np.random.default_rng(0)

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size, dtype=DTYPE)

    ids, targets = shape.batch()
    x, h, (q, k, v) = normal(B, T, C), normal(B, T, I), normal(3, B, H, T, C // H)
    wte, table = normal(V, C), block_table(C, I, 0.02, 0.02)
    p = groups(initial_parameters(table, dtype=DTYPE), table)
    attention_work = attention_flops(B, T, C)
    yield Case(linear, linear_backward, [x, p.mlp.w_up, p.mlp.b_up], 2 * B * T * C * I)
    yield Case(embedding, embedding_backward, [ids, wte])
    yield Case(unembedding, unembedding_backward, [x, wte], 2 * B * T * C * V)
    yield Case(layer_norm, layer_norm_backward, [x, *p.ln_1])
    yield Case(gelu, gelu_backward, [h])
    yield Case(relu, relu_backward, [h])
    yield Case(softmax, softmax_backward, [normal(B, H, T, T)], settings={"mask": causal_mask(T, T)})
    yield Case(attention, attention_backward, [q, k, v], attention_work, {"causal": True})
    yield Case(causal_attention, causal_attention_backward, [q, k, v], attention_work)
    yield Case(self_attention, self_attention_backward, [x, *p.attn], 2 * B * T * 4 * C * C + attention_work, {"n_head": H})
    yield Case(feed_forward, feed_forward_backward, [x, *p.mlp], 2 * B * T * 2 * C * I)
    yield Case(dropout, dropout_backward, [x], settings={"p": 0.1, "rng": rng})
    yield Case(cross_entropy, cross_entropy_backward, [normal(B, T, V), targets])
    yield Case(block, block_backward, [x, p], block_flops(config, B, T), {"config": config})


def upstream(y: np.ndarray) -> np.ndarray:
    """A random gradient by y."""
    return np.random.default_rng(1).standard_normal(np.shape(y), dtype=DTYPE)


def least_work(case: Case, y: np.ndarray, dy: np.ndarray, gradients: Group) -> dict[str, Work]:
    """Forward reads every argument and writes y. Backward reads dy and every argument, and writes the gradients.

    Two layers differ: an embedding's forward reads only the rows that are looked up, and its backward none of the
    table; dropout's forward also writes a mask, a byte for every entry, which its backward reads instead of x.
    """
    x = case.arguments[0]
    read_by_forward = read_by_backward = size_of(case.arguments)
    written = size_of(y)
    if case.name == "embedding":
        read_by_forward, read_by_backward = x.nbytes + size_of(y), x.nbytes
    elif case.name == "dropout":
        written, read_by_backward = size_of(y) + x.size, x.size
    return {"forward": Work(case.flops, read_by_forward + written),
            "backward": Work(2 * case.flops, size_of(dy) + read_by_backward + size_of(gradients))}


def size_of(group: Group) -> int:
    """Bytes of all arrays in nested groups."""
    return sum(array.nbytes for _, array in named_leaves(group))
