"""attention_band: the time of dense causal and of banded attention against the length of the text."""
import time
from collections.abc import Callable

import numpy as np

from benchmarks.roofline import attention_flops
from benchmarks.shapes import DTYPE, Plan
from benchmarks.table import Table, milliseconds, number, paragraph, spread
from benchmarks.timing import speed, summarise, take_turns
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.parallel.blas import blas_threads

HEADS, CHANNELS, WINDOW = 12, 64, 256           # of the smallest GPT-3
LENGTHS = [256, 512, 1024, 2048, 4096]
ROUNDS, SHORT_ROUNDS = 9, 3


def run(plan: Plan) -> dict:
    """Print the times  ->  {T: {"dense": figures, "banded": figures, "ratio": ...}}"""
    rounds, lengths = (SHORT_ROUNDS, LENGTHS[:3]) if plan.short else (ROUNDS, LENGTHS)
    paragraph(f"""Forward and backward of causal_attention with one text, {HEADS} heads of {CHANNELS} channels, in float32 on
        one thread: dense, and with a window of {WINDOW}. The two take turns, for {rounds} rounds after one that is not
        counted. The ratio is the median time of banded attention divided by that of dense attention, with the quartiles
        over the rounds. Expected is the ratio of the numbers of pairs of a query and a key that it sees.""")
    print()
    table = Table(("T", 5), ("dense ms", 9), ("spread", 6), ("banded ms", 9), ("spread", 6), ("ratio", 6), ("quartiles", 11),
                  ("expected", 8), ("GFLOP/s", 8))
    results = {}
    with blas_threads(1):
        for T in lengths:
            dense, banded = take_turns([burst(T, None), burst(T, WINDOW)], rounds + 1)
            ratio = speed(dense[1:], banded[1:])
            times = [summarise(sum(side[1:], [])) for side in (dense, banded)]
            flops = 3 * attention_flops(1, T, HEADS * CHANNELS)
            results[str(T)] = {"dense": times[0].figures(), "banded": times[1].figures(),
                               "ratio": ratio.median, "ratio low": ratio.low, "ratio high": ratio.high}
            table.row(str(T), milliseconds(times[0]), spread(times[0]), milliseconds(times[1]), spread(times[1]),
                      f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}",
                      f"{pairs(T, WINDOW) / pairs(T, T):.2f}", number(flops / times[0].median / 1e9))
    return results


def burst(T: int, window: int | None) -> Callable[[], list[float]]:
    """A function that times one forward and backward pass  ->  [seconds]"""
    q, k, v, dy = np.random.default_rng(0).standard_normal((4, 1, HEADS, T, CHANNELS), dtype=DTYPE)

    def seconds() -> list[float]:
        start = time.perf_counter()
        _, cache = causal_attention(q, k, v, window=window)
        causal_attention_backward(dy, cache)
        return [time.perf_counter() - start]

    return seconds


def pairs(T: int, window: int) -> int:
    """How many pairs of a query and a key that it sees there are."""
    W = min(window, T)
    return T * W - W * (W - 1) // 2
