"""train: speed, phases, memory and page faults of training, by shape and number of threads."""
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.machine import thread_counts
from benchmarks.peer import Peer
from benchmarks.roofline import training_flops
from benchmarks.shapes import Plan, Shape, write_problem
from benchmarks.table import Table, megabytes, milliseconds, number, paragraph, percent, spread
from benchmarks.timing import Rounds, summarise, take_turns

EFFORT = Rounds(warmup=3, rounds=5, least=2, seconds=2)
SHORT_EFFORT = Rounds(warmup=1, rounds=2, least=1, seconds=0.5)
PARTS = "forward", "backward", "gradients", "optimiser"
COLUMNS = (("threads", 7), ("step ms", 8), ("spread", 6), ("forward", 8), ("backward", 8), ("fwd+bwd", 8), ("optimiser", 9),
           ("tokens/s", 8), ("sgemm", 5), ("peak MB", 7), ("faults", 6))


def run(plan: Plan) -> dict:
    """Print a table for each shape  ->  {shape: {"N threads": figures}}"""
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"""Medians of whole steps: forward, backward, clipping and AdamW (the last two are the optimiser), always on
        the same batch of random tokens, without dropout. Each row has a process of its own. {effort}.""")
    paragraph("""Forward and backward are timed separately on one thread only. Peak is the most resident memory of the
        process, Python's and NumPy's included; faults are the page faults of the median step. sgemm: the time of the
        matrix products at the machine's peak for so many threads, relative to the step.""")
    results = {}
    for shape in plan.shapes:
        print(f"\n{shape.title}\n")
        table = Table(*COLUMNS)
        found = results[shape.name] = {f"{threads} threads": report(shape, threads, *measured, plan, table)
                                       for threads, measured in measure_shape(shape, effort, plan).items()}
        if plan.threads > 1:
            one, most = (found[f"{n} threads"]["step"]["ms"] for n in (1, plan.threads))
            print(f"{plan.threads} threads are {one / most:.2f} times as fast as one")
    return results


def measure_shape(shape: Shape, effort: Rounds, plan: Plan) -> dict[int, tuple[list[dict], int | None]]:
    """By number of threads: the figures of each step, and the peak memory in bytes. The processes take turns."""
    with ExitStack() as stack:
        problem = write_problem(shape, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        peers, bursts = {threads: stack.enter_context(Peer("npgpt_peer")) for threads in thread_counts(plan.threads)}, []
        for threads, peer in peers.items():
            peer.ask("start", **problem, threads=threads)
            bursts.append(partial(peer.burst, effort.steps(peer.burst(effort.warmup))))
        found = take_turns(bursts, effort.rounds)
        return {threads: (sum(steps, []), peer.ask("memory")["peak"])
                for (threads, peer), steps in zip(peers.items(), found)}


def report(shape: Shape, threads: int, steps: list[dict], peak: int | None, plan: Plan, table: Table) -> dict:
    """Print a row  ->  its figures"""
    values = {name: [step[name] for step in steps] for name in steps[0]}
    times = {name: summarise(values[name]) for name in values}
    step, faults = times["seconds"], times["faults"]
    tokens_per_second = shape.B * shape.T / step.median
    share = training_flops(shape.config, shape.B, shape.T) / step.median / plan.peaks[threads].flops
    table.row(str(threads), milliseconds(step), spread(step), *(milliseconds(times.get(name)) for name in PARTS),
              number(tokens_per_second), percent(share), megabytes(peak), number(faults.median))
    return {"step": {**step.figures(), "tokens/s": tokens_per_second, "share": share},
            **{name: times[name].figures() for name in PARTS if name in times},
            "peak MB": peak and peak / 1e6,
            "page faults": faults.median, "most page faults": max(values["faults"])}
