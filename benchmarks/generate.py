"""generate: how fast a prompt is processed, and how fast the model continues it."""
import itertools
import time

import numpy as np

from benchmarks.shapes import Plan, Shape
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Effort, Times, repeat, summarise
from npgpt.generation.generate import generate
from npgpt.model.parameters import groups
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.threads import available_cores

EFFORT, SHORT_EFFORT = Effort(0, 2, 20.0, most=7), Effort(0, 2, 20.0, most=3)
CONTINUATION = 16            # tokens, or a quarter of the context if that is less
COLUMNS = (("shape", -7), ("prompt", 6), ("ms", 8), ("spread", 6), ("tokens/s", 8), ("then", 5),
           ("ms/token", 8), ("spread", 6), ("tokens/s", 8), ("memory", 6), ("past context", 12))


def run(plan: Plan) -> dict:
    """Print a row for each shape  ->  {shape: {"prompt": figures, "continuation": figures, "past context": figures}}"""
    effort, threads = SHORT_EFFORT if plan.short else EFFORT, min(plan.threads, available_cores())
    paragraph(f"""BLAS with {threads} threads, greedy, random weights. Two tokens of warm-up, then medians of as many runs
        as {effort.seconds:g} s allow, from {effort.least} to {effort.most}. The prompt is half a context of random tokens;
        its time ends with the first new token. Each later token is timed separately. Memory: the bytes of weights that a
        token reads in a second, relative to the machine's peak of reading memory; a model that fits into the caches need
        not read it. Past context: tokens/s when the prompt fills the context, so that the window slides.""")
    print()
    table = Table(*COLUMNS)
    with blas_threads(threads):
        return {shape.name: measure_shape(shape, effort, table, plan.peaks[plan.threads].reading) for shape in plan.shapes}


def measure_shape(shape: Shape, effort: Effort, table: Table, peak: float) -> dict:
    """Print a row  ->  its figures. peak: of reading memory, in bytes a second."""
    parameters, context = shape.parameters(), shape.config.n_positions
    length, new = context // 2, min(CONTINUATION, context // 4)
    prompt, tokens = sample(shape, parameters, length, new, effort)
    _, past = sample(shape, parameters, context, max(new // 4, 1), effort._replace(most=2))
    positions = groups(parameters, shape.task.table).wpe          # a token reads one row of it, and all other weights
    share = (parameters.nbytes - positions.nbytes) / tokens.median / peak
    table.row(shape.name, str(length), milliseconds(prompt), spread(prompt), number(length / prompt.median), str(new),
              milliseconds(tokens), spread(tokens), number(1 / tokens.median), percent(share), number(1 / past.median))
    return {"prompt": {"length": length, **figures(prompt, length)},
            "continuation": {"length": new, **figures(tokens), "share of reading": share}, "past context": figures(past)}


def sample(shape: Shape, parameters: np.ndarray, length: int, new: int, effort: Effort) -> tuple[Times, Times]:
    """Repeatedly continue a random prompt by 1 + `new` tokens  ->  the times of the first new token, and of the others"""
    prompt = np.random.default_rng(0).integers(shape.config.vocab_size, size=length).tolist()
    time_tokens(shape, parameters, prompt, 2)
    runs = repeat(lambda: time_tokens(shape, parameters, prompt, 1 + new), effort)
    return summarise([run[0] for run in runs]), summarise([seconds for run in runs for seconds in run[1:]])


def time_tokens(shape: Shape, parameters: np.ndarray, prompt: list[int], count: int) -> list[float]:
    """Seconds that each new token takes; the first one's include the prompt."""
    tokens = generate(parameters, shape.config, prompt, np.random.default_rng(0), greedy=True)
    return np.diff([time.perf_counter(), *(time.perf_counter() for _ in itertools.islice(tokens, count))]).tolist()


def figures(times: Times, tokens: int = 1) -> dict:
    return {**times.figures(), "tokens/s": tokens / times.median}
