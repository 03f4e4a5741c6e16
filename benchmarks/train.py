"""train: speed, phases, memory and page faults of training, by shape and number of threads."""
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import thread_counts
from benchmarks.peer import Peer
from benchmarks.plan import Plan
from benchmarks.roofline import training_flops
from benchmarks.shapes import SHAPES, Shape, write_problem
from benchmarks.table import Table, megabytes, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Rounds, Times, summarise

EFFORT = Rounds(warmup=3, rounds=5, least=2, seconds=2)
SHORT_EFFORT = Rounds(warmup=1, rounds=2, least=1, seconds=0.5)
SHORT_SHAPES = ("small", "medium")
COLUMNS = (("threads", 7), ("step ms", 8), ("spread", 6), ("forward", 8), ("backward", 8), ("fwd+bwd", 8), ("optimiser", 9),
           ("tokens/s", 8), ("sgemm", 5), ("peak MB", 7), ("faults", 6))


class Measured(NamedTuple):
    """One number of threads: a value for each step, in seconds but for the page faults."""
    steps: dict[str, list[float]]               # "seconds", and of these "gradients" and "optimiser"; "faults"
    phases: dict[str, list[float]]              # "forward" and "backward" of further steps; empty for many threads
    peak: int | None                            # bytes


def run(plan: Plan) -> dict:
    """Print a table for each shape  ->  {shape: {"N threads": figures}}"""
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"""Medians of whole steps: forward, backward, clipping and AdamW (the last two are the optimiser), on one
        batch of random tokens again and again, without dropout. Each row has a process of its own. {effort}.""")
    paragraph("""Peak is the most resident memory of the process, Python's and NumPy's included; faults are the page
        faults of the median step. sgemm: the time of the matrix products at the machine's peak for so many
        threads, as a share of the step. Forward and backward are timed apart, in further steps, on one thread only.""")
    results = {}
    for shape in SHAPES:
        if plan.short and shape.name not in SHORT_SHAPES:
            print(f"\n{shape.title}: left out of the short run")
            continue
        print(f"\n{shape.title}\n")
        table = Table(*COLUMNS)
        results[shape.name] = {f"{threads} threads": report(shape, threads, measured, plan, table)
                               for threads, measured in measure_shape(shape, effort, plan).items()}
        if plan.threads > 1:
            one, most = (results[shape.name][f"{n} threads"]["step"]["ms"] for n in (1, plan.threads))
            print(f"{plan.threads} threads are {one / most:.2f} times as fast as one")
    return results


def measure_shape(shape: Shape, effort: Rounds, plan: Plan) -> dict[int, Measured]:
    """By number of threads. Their processes take turns, so that whatever else the machine does meets all alike."""
    with ExitStack() as stack:
        problem = write_problem(shape, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        peers = {threads: stack.enter_context(Peer("npgpt_peer")) for threads in thread_counts(plan.threads)}
        counts, steps = {}, {}
        for threads, peer in peers.items():
            peer.ask("start", **problem, threads=threads)
            counts[threads] = effort.steps(min(peer.ask("burst", steps=effort.warmup)["seconds"]))
            steps[threads] = {}
        for _ in range(effort.rounds):
            for threads, peer in peers.items():
                for name, values in peer.ask("burst", steps=1 + counts[threads]).items():
                    steps[threads].setdefault(name, []).extend(values[1:])
        peaks = {threads: peer.ask("memory")["peak"] for threads, peer in peers.items()}
        phases = peers[1].ask("phases", steps=effort.rounds * counts[1] // 2)
        return {threads: Measured(steps[threads], phases if threads == 1 else {}, peaks[threads]) for threads in peers}


def report(shape: Shape, threads: int, measured: Measured, plan: Plan, table: Table) -> dict:
    """Print a row  ->  its figures"""
    step, faults = summarise(measured.steps["seconds"]), summarise(measured.steps["faults"])
    parts = {name: summarise(measured.phases[name]) if measured.phases else None for name in ("forward", "backward")}
    parts |= {name: summarise(measured.steps[name]) for name in ("gradients", "optimiser")}
    speed = shape.tokens / step.median
    share = training_flops(shape.config, shape.B, shape.T) / step.median / plan.peaks.flops[threads]
    table.row(str(threads), milliseconds(step), spread(step), *map(optional, parts.values()), number(speed),
              percent(share), megabytes(measured.peak), number(faults.median))
    return {"step": {**step.figures(), "tokens/s": speed, "share": share},
            **{name: times.figures() for name, times in parts.items() if times},
            "peak MB": measured.peak and measured.peak / 1e6,
            "page faults": faults.median, "most page faults": max(measured.steps["faults"])}


def optional(times: Times | None) -> str:
    return "-" if times is None else milliseconds(times)
