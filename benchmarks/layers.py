"""layers: each layer's forward and backward, and how close they come to the limits of the machine."""
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import npgpt
from benchmarks.roofline import Work, attention_flops, block_flops, bound
from benchmarks.shapes import DTYPE, Plan, Shape
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Effort, Times, measure
from npgpt.layers.attention import causal_mask
from npgpt.model.parameters import Group, block_table, groups, initial_parameters, named_leaves
from npgpt.parallel.blas import blas_threads

EFFORT = Effort(warmup=2, least=7, seconds=0.5)
SHORT_EFFORT = Effort(warmup=1, least=3, seconds=0.03)
COLUMNS = (("layer", -21), ("pass", -8), ("ms", 8), ("spread", 6), ("GFLOP/s", 8), ("GB/s", 7),
           ("bound by", 8), ("share", 6))


class Case(NamedTuple):
    """A layer with arguments. `flops` are those of forward's matrix products; backward has twice as many."""
    layer: str
    arguments: list
    flops: int = 0
    settings: dict = {}

    def forward(self) -> tuple[np.ndarray, object]:
        return getattr(npgpt, self.layer)(*self.arguments, **self.settings)

    def backward(self, dy: np.ndarray, cache: object) -> Group:
        return getattr(npgpt, f"{self.layer}_backward")(dy, cache)


def cases(shape: Shape) -> Iterator[Case]:
    """All layers. They are made one by one, because their arguments need much memory."""
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
    yield Case("linear", [x, p.mlp.w_up, p.mlp.b_up], 2 * B * T * C * I)
    yield Case("embedding", [ids, wte])
    yield Case("unembedding", [x, wte], 2 * B * T * C * V)
    yield Case("layer_norm", [x, *p.ln_1])
    yield Case("gelu", [h])
    yield Case("relu", [h])
    yield Case("softmax", [normal(B, H, T, T)], settings={"mask": causal_mask(T, T)})
    yield Case("attention", [q, k, v], attention_work, {"causal": True})
    yield Case("causal_attention", [q, k, v], attention_work)
    yield Case("self_attention", [x, *p.attn], 2 * B * T * 4 * C * C + attention_work, {"n_head": H})
    yield Case("feed_forward", [x, *p.mlp], 2 * B * T * 2 * C * I)
    yield Case("dropout", [x], settings={"p": 0.1, "rng": rng})
    yield Case("cross_entropy", [normal(B, T, V), targets])
    yield Case("block", [x, p], block_flops(config, B, T), {"config": config})


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
    if case.layer == "embedding":
        read_by_forward, read_by_backward = x.nbytes + size_of(y), x.nbytes
    elif case.layer == "dropout":
        written, read_by_backward = size_of(y) + x.size, x.size
    return {"forward": Work(case.flops, read_by_forward + written),
            "backward": Work(2 * case.flops, size_of(dy) + read_by_backward + size_of(gradients))}


def size_of(group: Group) -> int:
    """Bytes of all arrays in nested groups."""
    return sum(array.nbytes for _, array in named_leaves(group))


def run(plan: Plan) -> dict:
    """Print a table for each shape  ->  {shape: {layer: {pass: figures}}}"""
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"One thread, BLAS limited to one. Medians of calls: {effort}.")
    paragraph("""GFLOP/s counts the matrix products alone, for causal attention only the pairs that the mask keeps. GB/s
        counts the bytes that have to be moved: arguments read once, results written once. At the machine's peaks for one
        thread, each of the two takes some time; the longer one bounds the layer, and share is that time divided by the
        measured one. Above 100% the arrays came from the caches, which are faster than memory.""")
    results = {}
    with blas_threads(1):
        for shape in plan.shapes:
            print(f"\n{shape.title}\n")
            table = Table(*COLUMNS)
            results[shape.name] = {case.layer: measure_case(case, effort, plan, table) for case in cases(shape)}
    return results


def measure_case(case: Case, effort: Effort, plan: Plan, table: Table) -> dict:
    """Print a row for each pass  ->  {pass: figures}"""
    y, cache = case.forward()
    dy = upstream(y)
    work = least_work(case, y, dy, case.backward(dy, cache))
    del y
    results = {}
    for name, call in ("forward", case.forward), ("backward", lambda: case.backward(dy, cache)):
        times = measure(call, effort)
        found = results[name] = figures(times, work[name], plan)
        table.row(case.layer if name == "forward" else "", name, milliseconds(times), spread(times),
                  number(found["GFLOP/s"] if case.flops else None), number(found["GB/s"]), found["bound by"],
                  percent(found["share"]))
    return results


def figures(times: Times, work: Work, plan: Plan) -> dict:
    least, limit = bound(work, plan.peaks[1])
    return {**times.figures(), "flops": work.flops, "bytes": work.bytes, "bound by": limit,
            "GFLOP/s": work.flops / times.median / 1e9, "GB/s": work.bytes / times.median / 1e9,
            "share": least / times.median}
