"""generate: how fast a prompt is read, and how fast the model continues it."""
import itertools
import time
from typing import NamedTuple

import numpy as np

from benchmarks.plan import Plan
from benchmarks.shapes import DTYPE, SHAPES, Shape
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Times, summarise
from npgpt.generation.generate import generate
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.threads import available_cores
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters, parameter_count

REPEATS, SHORT_REPEATS = 7, 3
LIMIT = 20.0                 # seconds, after which two runs are enough
SHORT_SHAPES = ("small", "medium")
CONTINUATION = 16            # tokens, or a quarter of the context where that is less
COLUMNS = (("shape", -7), ("prompt", 6), ("ms", 8), ("spread", 6), ("tokens/s", 8), ("then", 5),
           ("ms/token", 8), ("spread", 6), ("tokens/s", 8), ("memory", 6), ("past context", 12))


class Sample(NamedTuple):
    """Seconds of each call."""
    prompt: list[float]                         # until the first token is there
    tokens: list[float]                         # for each one after it


def run(plan: Plan) -> dict:
    """Print a row for each shape  ->  {shape: {"prompt": figures, "continuation": figures, "past context": figures}}"""
    repeats = SHORT_REPEATS if plan.short else REPEATS
    paragraph(f"""BLAS with {min(plan.threads, available_cores())} threads, greedy, random weights. Medians of {repeats} runs (of two, where those take
        {LIMIT:.0f} s), after two tokens of warm-up. The prompt, half a context of random tokens, is read when the first
        new token is there. Each token after that is timed alone. Memory: the weights that a token reads, each once,
        by the time it takes, of the peak at which this machine reads memory; a model that fits the caches need not
        read it. Past context: tokens/s once the window slides, because the prompt fills the context.""")
    print()
    table = Table(*COLUMNS)
    results = {}
    with blas_threads(min(plan.threads, available_cores())):
        for shape in SHAPES:
            if not plan.short or shape.name in SHORT_SHAPES:
                results[shape.name] = measure_generation(shape, repeats, table, plan.peaks.reading[plan.threads])
    if plan.short:
        print("the other shapes are left out of the short run")
    return results


def measure_generation(shape: Shape, repeats: int, table: Table, reading: float) -> dict:
    """Figures of one row, which is printed. reading: bytes a second, the machine's peak."""
    context = shape.config.n_positions
    new = min(CONTINUATION, context // 4)
    parameters = initial_parameters(shape.config, seed=0, dtype=DTYPE)
    inside = sample(shape, parameters, context // 2, new, repeats)
    past = sample(shape, parameters, context, max(new // 4, 1), 2)
    prompt, tokens, sliding = summarise(inside.prompt), summarise(inside.tokens), summarise(past.tokens)
    share = bytes_read(shape.config) / tokens.median / reading
    table.row(shape.name, str(context // 2), milliseconds(prompt), spread(prompt), number(context // 2 / prompt.median),
              str(new), milliseconds(tokens), spread(tokens), number(1 / tokens.median), percent(share),
              number(1 / sliding.median))
    return {"prompt": {"length": context // 2, **figures(prompt, context // 2)},
            "continuation": {"length": new, **figures(tokens), "share of reading": share}, "past context": figures(sliding)}


def sample(shape: Shape, parameters: np.ndarray, length: int, new: int, repeats: int) -> Sample:
    """Continue a random prompt of `length` tokens by 1 + `new`, again and again."""
    prompt = np.random.default_rng(0).integers(shape.config.vocab_size, size=length).tolist()
    time_tokens(shape, parameters, prompt, 2)
    runs: list[list[float]] = []
    end = time.perf_counter() + LIMIT
    while len(runs) < 2 or len(runs) < repeats and time.perf_counter() < end:
        runs.append(time_tokens(shape, parameters, prompt, 1 + new))
    return Sample([run[0] for run in runs], [seconds for run in runs for seconds in run[1:]])


def time_tokens(shape: Shape, parameters: np.ndarray, prompt: list[int], count: int) -> list[float]:
    """Seconds that each new token takes; the first one's contain the reading of the prompt."""
    tokens = generate(parameters, shape.config, prompt, np.random.default_rng(0), greedy=True)
    seconds, start = [], time.perf_counter()
    for _ in itertools.islice(tokens, count):
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return seconds


def bytes_read(config: GPTConfig) -> int:
    """What one token reads of a model with a tied head: all but the table of positions, of which it takes a row."""
    return (parameter_count(config) - config.n_positions * config.n_embd) * np.dtype(DTYPE).itemsize


def figures(times: Times, tokens: int = 1) -> dict:
    return {**times.figures(), "tokens/s": tokens / times.median}
