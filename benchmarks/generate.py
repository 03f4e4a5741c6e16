"""generate: how fast a prompt is read, and how fast the model continues it."""
import itertools
import time

import numpy as np

from benchmarks.plan import Plan
from benchmarks.shapes import DTYPE, Shape
from benchmarks.table import Table, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Times, summarise
from npgpt.generation.generate import generate
from npgpt.model.parameters import parameter_count
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.threads import available_cores

REPEATS, SHORT_REPEATS = 7, 3
LIMIT = 20.0                 # seconds, after which two runs are enough
CONTINUATION = 16            # tokens, or a quarter of the context where that is less
COLUMNS = (("shape", -7), ("prompt", 6), ("ms", 8), ("spread", 6), ("tokens/s", 8), ("then", 5),
           ("ms/token", 8), ("spread", 6), ("tokens/s", 8), ("memory", 6), ("past context", 12))


def run(plan: Plan) -> dict:
    """Print a row for each shape  ->  {shape: {"prompt": figures, "continuation": figures, "past context": figures}}"""
    repeats, threads = SHORT_REPEATS if plan.short else REPEATS, min(plan.threads, available_cores())
    paragraph(f"""BLAS with {threads} threads, greedy, random weights. Medians of {repeats} runs (of two, where those take
        {LIMIT:.0f} s), after two tokens of warm-up. The prompt is half a context of random tokens; its time ends with the
        first new token. Each later token is timed separately. Memory: the weights that a token reads, each once, divided
        by its time, relative to the machine's peak of reading memory; a model that fits the caches need not read it.
        Past context: tokens/s when the prompt fills the context, so that the window slides.""")
    print()
    table = Table(*COLUMNS)
    with blas_threads(threads):
        return {shape.name: measure_shape(shape, repeats, table, plan.peaks[plan.threads].reading) for shape in plan.shapes}


def measure_shape(shape: Shape, repeats: int, table: Table, peak: float) -> dict:
    """Print a row  ->  its figures. peak: of reading memory, in bytes a second."""
    parameters, context = shape.parameters(), shape.config.n_positions
    length, new = context // 2, min(CONTINUATION, context // 4)
    prompt, tokens = sample(shape, parameters, length, new, repeats)
    _, past = sample(shape, parameters, context, max(new // 4, 1), 2)
    share = weights_read(shape) * np.dtype(DTYPE).itemsize / tokens.median / peak
    table.row(shape.name, str(length), milliseconds(prompt), spread(prompt), number(length / prompt.median), str(new),
              milliseconds(tokens), spread(tokens), number(1 / tokens.median), percent(share), number(1 / past.median))
    return {"prompt": {"length": length, **figures(prompt, length)},
            "continuation": {"length": new, **figures(tokens), "share of reading": share}, "past context": figures(past)}


def sample(shape: Shape, parameters: np.ndarray, length: int, new: int, repeats: int) -> tuple[Times, Times]:
    """Continue a random prompt of `length` tokens by 1 + `new`, again and again  ->  the times of the first new token,
    and those of the others
    """
    prompt = np.random.default_rng(0).integers(shape.config.vocab_size, size=length).tolist()
    time_tokens(shape, parameters, prompt, 2)
    runs: list[list[float]] = []
    end = time.perf_counter() + LIMIT
    while len(runs) < 2 or len(runs) < repeats and time.perf_counter() < end:
        runs.append(time_tokens(shape, parameters, prompt, 1 + new))
    return summarise([run[0] for run in runs]), summarise([seconds for run in runs for seconds in run[1:]])


def time_tokens(shape: Shape, parameters: np.ndarray, prompt: list[int], count: int) -> list[float]:
    """Seconds that each new token takes; the first one's include the prompt."""
    tokens = generate(parameters, shape.config, prompt, np.random.default_rng(0), greedy=True)
    return np.diff([time.perf_counter(), *(time.perf_counter() for _ in itertools.islice(tokens, count))]).tolist()


def weights_read(shape: Shape) -> int:
    """What one token reads of a model with a tied head: all except the table of positions, of which it reads one row."""
    return parameter_count(shape.task.table) - shape.config.n_positions * shape.config.n_embd


def figures(times: Times, tokens: int = 1) -> dict:
    return {**times.figures(), "tokens/s": tokens / times.median}
