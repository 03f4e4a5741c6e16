"""scoring: the likelihoods of choices, in transformers too, which computes one after the other; both take turns."""
import dataclasses
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.machine import processor
from benchmarks.peer import Peer, PeerError
from benchmarks.shapes import SHAPES, Plan, Shape
from benchmarks.table import Table, milliseconds, paragraph, spread
from benchmarks.timing import speed, summarise, take_turns
from benchmarks.versus_torch import PAUSE
from benchmarks.versus_transformers import CONTEXT, has_transformers
from npgpt.interop.huggingface import save
from npgpt.model.model import Model
from npgpt.parallel.blas import blas_threads
from npgpt.scoring.likelihood import Continuation, Likelihood, likelihoods

QUESTIONS, SHOTS, LENGTH, CHOICES = 4, 5, 50, 4                # LENGTH: tokens of a shot, and of a question
ROUNDS, SHORT_ROUNDS = 5, 1
TOLERANCE = 1e-3                                # of a log-probability, in nats a token
COLUMNS = (("shape", -6), ("npgpt ms", 8), ("spread", 6), ("torch ms", 8), ("spread", 6), ("speed", 5), ("quartiles", 11),
           ("processor", -10))


def run(plan: Plan) -> dict:
    """Print a row for each shape  ->  {shape: figures}"""
    if not has_transformers(plan.torch_python):
        print(f"left out: no transformers could be imported by {plan.torch_python} (see --torch-python)")
        return {}
    rounds = SHORT_ROUNDS if plan.short else ROUNDS
    paragraph(f"""{QUESTIONS} questions of {(SHOTS + 1) * LENGTH} tokens, {SHOTS} shots included, with {CHOICES} choices
        each, {plan.threads} threads. npgpt computes what sequences have in common once; transformers is given one
        sequence after the other, as usual. Both must find the same likelihoods. They take turns, for {rounds} rounds
        after one that is not counted. Speed is the time of transformers over that of npgpt.""")
    print()
    table, results = Table(*COLUMNS), {}
    for shape in plan.shapes if plan.named or plan.short else SHAPES[-1:]:
        try:
            results[shape.name] = compare(shape, plan, rounds, table)
        except PeerError as error:
            paragraph(f"{shape.name}: not compared. {error}")
    return results


def compare(shape: Shape, plan: Plan, rounds: int, table: Table) -> dict:
    """Print a row  ->  its figures. Raises PeerError."""
    shape = shape._replace(config=dataclasses.replace(shape.config, n_positions=CONTEXT))
    model = Model(shape.parameters(), shape.config, None)
    continuations = questions(shape.config.vocab_size)
    with tempfile.TemporaryDirectory() as folder, blas_threads(plan.threads):
        save(folder, model)
        with Peer("likelihood_peer", plan.torch_python) as transformers:
            transformers.ask("start", folder=folder, continuations=[one[:2] for one in continuations], threads=plan.threads)

            def ours() -> tuple[float, list[Likelihood]]:
                start = time.perf_counter()
                found = likelihoods(model, continuations)
                return time.perf_counter() - start, found

            def theirs() -> tuple[float, list[float]]:
                answer = transformers.ask("measure")
                return answer["seconds"], answer["found"]

            found = take_turns([ours, theirs], rounds + 1, PAUSE)
    require_equal(found[0][0][1], found[1][0][1])
    seconds = [[[spent] for spent, _ in side[1:]] for side in found]
    times = [summarise(sum(side, [])) for side in seconds]
    ratio = speed(*seconds)
    table.row(shape.name, *(cell(one) for one in times for cell in (milliseconds, spread)), f"{ratio.median:.2f}",
              f"{ratio.low:.2f}-{ratio.high:.2f}", processor())
    return {"npgpt": times[0].figures(), "transformers": times[1].figures(),
            "npgpt over transformers": {"speed": ratio.median, "speed low": ratio.low, "speed high": ratio.high}}


def questions(vocab_size: int) -> list[Continuation]:
    """Random tokens: to each question its shots and its text, and choices of one to six tokens."""
    rng, found = np.random.default_rng(0), []
    for _ in range(QUESTIONS):
        context = rng.integers(vocab_size, size=(SHOTS + 1) * LENGTH).tolist()
        found += [Continuation(context, rng.integers(vocab_size, size=rng.integers(1, 7)).tolist()) for _ in range(CHOICES)]
    return found


def require_equal(found: Sequence[Likelihood], theirs: Sequence[float]) -> None:
    """Raise PeerError unless the likelihoods of both sides agree to TOLERANCE."""
    worst = max(abs(one.log_probability - other) / one.tokens for one, other in zip(found, theirs, strict=True))
    if not worst <= TOLERANCE:
        raise PeerError(f"the two sides find likelihoods that differ by {worst:.1e} nats a token")
