"""versus_torch: the same model, weights and batch in PyTorch; npgpt and PyTorch take turns."""
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import processor
from benchmarks.peer import Peer, PeerError
from benchmarks.shapes import SHAPES, Plan, write_problem
from benchmarks.table import Table, megabytes, milliseconds, paragraph, spread
from benchmarks.timing import Rounds, speed, summarise, take_turns

WARMUP = 3                   # steps of each side, after which the two losses are compared again
PAUSE = 0.2                  # seconds: a library's idle threads stay awake for a while before they sleep
TOLERANCE = 1e-4             # largest difference of the first losses, relative
MODES = {"eager": False, "compiled": True}
EFFORT, SHORT_EFFORT = Rounds(WARMUP, 15, 1, 1.0), Rounds(WARMUP, 5, 1, 0.3)
COLUMNS = (("shape", -6), ("PyTorch", -8), ("npgpt ms", 8), ("spread", 6), ("torch ms", 8), ("spread", 6),
           ("npgpt MB", 8), ("torch MB", 8), ("speed", 5), ("quartiles", 11), ("processor", -10))


class DifferentLoss(RuntimeError):
    """The two sides do not compute the same thing, so that their speeds say nothing."""


def run(plan: Plan) -> dict:
    """Print a row for each shape and mode  ->  {shape: {mode: figures}}"""
    version = torch_version(plan.torch_python)
    if not version:
        print(f"left out: no torch could be imported by {plan.torch_python} (see --torch-python)")
        return {}
    shapes = plan.shapes if plan.named or not plan.short else SHAPES[:1]
    modes, effort = (["eager"], SHORT_EFFORT) if plan.short else (list(MODES), EFFORT)
    paragraph(f"""Whole training steps, {plan.threads} threads on both sides: forward, loss, backward, clipping, AdamW
        (PyTorch's fused). PyTorch {version}: nanoGPT's model with scaled_dot_product_attention; compiled means
        torch.compile of the model.""")
    paragraph(f"{effort}. The order changes from round to round, and one side waits while the other runs.")
    paragraph(f"""Speed is PyTorch's median step over npgpt's: above 1 npgpt is faster. Quartiles are those of the rounds'
        ratios. MB is each process's peak resident memory, its libraries (and, compiled, the compiler) included.""")
    print("\n" + "\n".join(shape.title for shape in shapes) + "\n")
    table = Table(*COLUMNS)
    results: dict[str, dict] = {shape.name: {} for shape in shapes}
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            problem = write_problem(shape, Path(folder))
            for mode in modes:
                try:
                    cells, compiled = (shape.name, mode), MODES[mode]
                    results[shape.name][mode] = compare(cells, problem, plan, effort, table, compiled=compiled)
                except (PeerError, DifferentLoss) as error:
                    paragraph(f"{shape.name}, {mode}: not compared. {error}")
    print("\nLosses of the same weights and batch, npgpt's and PyTorch's:")
    for name, found in results.items():
        for mode, figures in found.items():
            (our_first, their_first), (our_last, their_last) = figures["losses"].values()
            print(f"{name}, {mode}: {our_first:.6f} and {their_first:.6f}, {abs(our_first - their_first):.1e} apart; "
                  f"{abs(our_last - their_last):.1e} apart after {WARMUP - 1} updates\n  {figures['versions']}")
    if plan.short:
        print(f"The short run has {modes[0]} mode only{'' if plan.named else f', and the shape {shapes[0].name}'}.")
    return results


def compare(cells: Sequence[str], problem: dict, plan: Plan, effort: Rounds, table: Table,
            peers: tuple[str, str] = ("npgpt_peer", "torch_peer"), **theirs: object) -> dict:
    """Compare the losses and the speed of both sides, and print a row  ->  its figures. Raises PeerError or DifferentLoss.

    cells: of the row, at its beginning. theirs: further arguments that start PyTorch's side.
    """
    with Peer(peers[0]) as npgpt, Peer(peers[1], plan.torch_python) as torch:
        our_start = npgpt.ask("start", **problem, threads=plan.threads)
        their_start = torch.ask("start", **problem, threads=plan.threads, **theirs)
        warmups = [peer.ask("burst", steps=WARMUP)["steps"] for peer in (npgpt, torch)]
        losses = {name: [warmup[i]["loss"] for warmup in warmups] for name, i in (("first", 0), ("last", -1))}
        require_equal(*losses["first"])
        bursts = [partial(peer.burst, effort.steps(warmup)) for peer, warmup in zip((npgpt, torch), warmups)]
        found = take_turns(bursts, effort.rounds, PAUSE)
        peaks = [peer.ask("memory")["peak"] for peer in (npgpt, torch)]
    seconds = [[[step["seconds"] for step in burst] for burst in side] for side in found]
    ours, theirs = (summarise(sum(side, [])) for side in seconds)
    ratio = speed(*seconds)
    table.row(*cells, milliseconds(ours), spread(ours), milliseconds(theirs), spread(theirs),
              *map(megabytes, peaks), f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}", processor())
    return {"npgpt": {**ours.figures(), "peak MB": peaks[0] and peaks[0] / 1e6},
            "torch": {**theirs.figures(), "peak MB": peaks[1] and peaks[1] / 1e6},
            "npgpt over torch": {"speed": ratio.median, "speed low": ratio.low, "speed high": ratio.high,
                                 "rounds": ratio.count},
            "losses": losses, "versions": f"{our_start['versions']} against {their_start['versions']}"}


def require_equal(ours: float, theirs: float) -> None:
    """Raise DifferentLoss unless the two agree to TOLERANCE."""
    if not abs(ours - theirs) <= TOLERANCE * abs(theirs):
        raise DifferentLoss(f"The same weights and batch give different losses: {ours} by npgpt, {theirs} by PyTorch")


def torch_version(python: str) -> str | None:
    """The version of PyTorch; None if there is no such interpreter, or it cannot import torch."""
    try:
        answer = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
