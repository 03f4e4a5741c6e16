"""What `layers` measures: every layer, with arguments of a shape's size, and the work that it cannot avoid."""
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.roofline import Work, attention_flops, block_flops
from benchmarks.shapes import DTYPE, Shape, random_batch
from npgpt.layers.activations import gelu, gelu_backward, relu, relu_backward
from npgpt.layers.attention import attention, attention_backward, causal_mask
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.self_attention import causal_self_attention, causal_self_attention_backward
from npgpt.layers.softmax import softmax, softmax_backward
from npgpt.model.block import block, block_backward
from npgpt.model.parameters import block_shapes


class Case(NamedTuple):
    """A layer pair with arguments. `flops` are those of forward's matrix products; backward has twice as many."""
    name: str
    forward: Callable
    backward: Callable
    arguments: list[np.ndarray]
    flops: int = 0
    settings: dict = {}


def cases(shape: Shape) -> Iterator[Case]:
    """One after another, so that only one's arguments take memory."""
    config, B, T = shape.config, shape.B, shape.T
    C, I, H, V = config.n_embd, config.inner, config.n_head, config.vocab_size
    rng = np.random.default_rng(0)
    ids, targets = random_batch(shape)

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size, dtype=DTYPE)

    def weights(*size: int) -> np.ndarray:
        return normal(*size) * DTYPE(0.02)

    head, attended = 2 * B * T * C * V, attention_flops(B, T, C)
    projections, wide = 2 * B * T * 4 * C * C, 2 * B * T * 2 * C * I
    yield Case("linear", linear, linear_backward, [normal(B, T, C), weights(C, I), weights(I)], 2 * B * T * C * I)
    yield Case("embedding", embedding, embedding_backward, [ids, weights(V, C)])
    yield Case("unembedding", unembedding, unembedding_backward, [normal(B, T, C), weights(V, C)], head)
    yield Case("layer_norm", layer_norm, layer_norm_backward, [normal(B, T, C), weights(C) + 1, weights(C)])
    yield Case("gelu", gelu, gelu_backward, [normal(B, T, I)])
    yield Case("relu", relu, relu_backward, [normal(B, T, I)])
    yield Case("softmax", softmax, softmax_backward, [normal(B, H, T, T)], 0, {"mask": causal_mask(T, T)})
    yield Case("attention", attention, attention_backward, [normal(B, H, T, C // H) for _ in range(3)], attended,
               {"causal": True})
    yield Case("causal_attention", causal_attention, causal_attention_backward, [normal(B, H, T, C // H) for _ in range(3)],
               attended)
    yield Case("causal_self_attention", causal_self_attention, causal_self_attention_backward,
               [normal(B, T, C), weights(C, 3 * C), weights(3 * C), weights(C, C), weights(C)],
               projections + attended, {"n_head": H})
    yield Case("feed_forward", feed_forward, feed_forward_backward,
               [normal(B, T, C), weights(C, I), weights(I), weights(I, C), weights(C)], wide)
    yield Case("dropout", dropout, dropout_backward, [normal(B, T, C)], 0, {"p": 0.1, "rng": rng})
    yield Case("cross_entropy", cross_entropy, cross_entropy_backward, [normal(B, T, V), targets])
    parameters = [weights(*size) for size in block_shapes(C, I).values()]
    yield Case("block", block, block_backward, [normal(B, T, C), *parameters], block_flops(config, B, T),
               {"config": config})


def upstream(y: np.ndarray) -> np.ndarray | float:
    """A gradient by y; that of a loss is 1."""
    y = np.asarray(y)
    return 1.0 if y.ndim == 0 else np.random.default_rng(1).standard_normal(y.shape, dtype=DTYPE)


def forward_work(case: Case, y: np.ndarray) -> Work:
    """Reads every argument, writes y. Of a table that is looked up, only the rows that are wanted; dropout also
    writes a byte for every entry, to remember what it dropped.
    """
    y = np.asarray(y)
    if case.name == "embedding":
        return Work(0, case.arguments[0].nbytes + 2 * y.nbytes)
    kept = y.size if case.name == "dropout" else 0
    return Work(case.flops, size_of(case.arguments) + y.nbytes + kept)


def backward_work(case: Case, dy: np.ndarray | float, gradients: object) -> Work:
    """Reads dy and every argument of forward, writes the gradients. An embedding's backward does not need the
    table, dropout's needs what forward remembered in place of x.
    """
    gradients = list(gradients) if isinstance(gradients, tuple) else [gradients]
    needed = size_of(case.arguments)
    if case.name == "embedding":
        needed = case.arguments[0].nbytes
    elif case.name == "dropout":
        needed = case.arguments[0].size
    return Work(2 * case.flops, np.asarray(dy, DTYPE).nbytes + needed + size_of(gradients))


def size_of(arrays: list[np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays)
