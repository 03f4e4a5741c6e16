"""versus_torch: the same model, weights and batch in PyTorch, asked in turn with npgpt."""
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.peer import Peer, PeerError
from benchmarks.plan import Plan
from benchmarks.shapes import SHAPES, write_problem
from benchmarks.table import Table, megabytes, milliseconds, paragraph, spread
from benchmarks.timing import Duel, Rounds, alternate

WARMUP = 3                   # steps of each side, after which the two losses are compared again
PAUSE = 0.2                  # seconds: libraries' idle threads spin for a while before they sleep
TOLERANCE = 1e-4             # largest difference of the first losses, relative
MODES = {"eager": False, "compiled": True}
SHORT_SHAPES, SHORT_MODES = ("small",), ("eager",)
EFFORT, SHORT_EFFORT = Rounds(WARMUP, 15, 1, 1.0), Rounds(WARMUP, 5, 1, 0.3)
COLUMNS = (("shape", -6), ("PyTorch", -8), ("npgpt ms", 8), ("spread", 6), ("torch ms", 8), ("spread", 6), ("speed", 5),
           ("quartiles", 11), ("npgpt MB", 8), ("torch MB", 8))


class TorchFailed(RuntimeError):
    """PyTorch could not do what it was asked to."""


class DifferentLoss(RuntimeError):
    """The two sides do not compute the same thing, so that their speeds say nothing."""


class Losses(NamedTuple):
    """In nats a token: before the first update, and after the warm-up's updates but the last."""
    npgpt_first: float
    torch_first: float
    npgpt_last: float
    torch_last: float

    def require(self) -> None:
        """Raise DifferentLoss unless the first two agree to TOLERANCE."""
        if not abs(self.npgpt_first - self.torch_first) <= TOLERANCE * abs(self.torch_first):
            raise DifferentLoss("The same weights and batch give different losses: "
                                f"{self.npgpt_first} by npgpt, {self.torch_first} by PyTorch")

    def __str__(self) -> str:
        return (f"{self.npgpt_first:.6f} and {self.torch_first:.6f}, {abs(self.npgpt_first - self.torch_first):.1e} apart; "
                f"{abs(self.npgpt_last - self.torch_last):.1e} apart after {WARMUP - 1} updates")


class Found(NamedTuple):
    """What one comparison gave."""
    duel: Duel
    losses: Losses
    ours: int | None                            # peak memory in bytes
    theirs: int | None
    versions: str

    def figures(self) -> dict:
        ours, theirs = self.duel.times()
        ratio = self.duel.ratio()
        return {"npgpt": {**ours.figures(), "peak MB": self.ours and self.ours / 1e6},
                "torch": {**theirs.figures(), "peak MB": self.theirs and self.theirs / 1e6},
                "npgpt over torch": {"speed": ratio.median, "speed low": ratio.low, "speed high": ratio.high,
                                     "rounds": ratio.count},
                "losses": self.losses._asdict(), "versions": self.versions}


def run(plan: Plan) -> dict:
    """Print a row for each shape and mode  ->  {shape: {mode: figures}}"""
    version = torch_version(plan.torch_python)
    if not version:
        print(f"left out: no torch could be imported by {plan.torch_python} (see --torch-python)")
        return {}
    effort = SHORT_EFFORT if plan.short else EFFORT
    introduce(plan, version, effort)
    table = Table(*COLUMNS)
    found: dict[str, dict[str, Found]] = {}
    for shape in SHAPES:
        if plan.short and shape.name not in SHORT_SHAPES:
            continue
        with tempfile.TemporaryDirectory() as folder:
            problem = write_problem(shape, Path(folder))
            for mode in SHORT_MODES if plan.short else MODES:
                try:
                    one = compare(problem, mode, plan, effort)
                    table.row(shape.name, mode, *cells(one))
                    found.setdefault(shape.name, {})[mode] = one
                except (TorchFailed, DifferentLoss) as error:
                    paragraph(f"{shape.name}, {mode}: not compared. {error}")
    conclude(found, plan)
    return {name: {mode: one.figures() for mode, one in modes.items()} for name, modes in found.items()}


def introduce(plan: Plan, version: str, effort: Rounds) -> None:
    paragraph(f"""Whole training steps, {plan.threads} threads on both sides: forward, loss, backward, clipping, AdamW
        (PyTorch's fused). PyTorch {version}: nanoGPT's model with scaled_dot_product_attention; compiled means
        torch.compile of the model.""")
    paragraph(f"{effort}. The order changes from round to round, and one side waits while the other runs.")
    paragraph("""Speed is PyTorch's median step over npgpt's: above 1 npgpt is faster. Quartiles are those of the rounds'
        ratios. MB is each process's peak resident memory, its libraries (and, compiled, the compiler) included.""")
    print("\n" + "\n".join(shape.title for shape in SHAPES) + "\n")


def conclude(found: dict[str, dict[str, Found]], plan: Plan) -> None:
    print("\nLosses of the same weights and batch, npgpt's and PyTorch's:")
    for name, modes in found.items():
        for mode, one in modes.items():
            print(f"{name}, {mode}: {one.losses}")
    for versions in {one.versions for modes in found.values() for one in modes.values()}:
        print(versions)
    if plan.short:
        print(f"The short run has {', '.join(SHORT_SHAPES)} and {', '.join(SHORT_MODES)} only.")


def compare(problem: dict, mode: str, plan: Plan, effort: Rounds) -> Found:
    """Start both sides, hold their losses against each other, then measure in turn. Raises TorchFailed or DifferentLoss."""
    with Peer("npgpt_peer") as ours, Peer("torch_peer", plan.torch_python) as theirs:
        started = ours.ask("start", **problem, threads=plan.threads)
        our_losses = ours.ask("burst", steps=WARMUP)["losses"]
        try:
            their_start = theirs.ask("start", **problem, threads=plan.threads, compiled=MODES[mode])
            their_losses = theirs.ask("burst", steps=WARMUP)["losses"]
        except PeerError as error:
            raise TorchFailed(f"PyTorch says {error.message}") from None
        losses = Losses(our_losses[0], their_losses[0], our_losses[-1], their_losses[-1])
        losses.require()
        duel = alternate(bursts(ours, effort), bursts(theirs, effort), effort.rounds, PAUSE)
        return Found(duel, losses, ours.ask("memory")["peak"], theirs.ask("memory")["peak"],
                     f"{started['versions']} against {their_start['versions']}")


def bursts(peer: Peer, effort: Rounds) -> Callable[[], list[float]]:
    """What asks the peer for a burst  ->  seconds of each step but the first"""
    steps = effort.steps(min(peer.ask("burst", steps=3)["seconds"]))
    return lambda: peer.ask("burst", steps=1 + steps)["seconds"][1:]


def cells(found: Found) -> list[str]:
    ours, theirs = found.duel.times()
    ratio = found.duel.ratio()
    return [milliseconds(ours), spread(ours), milliseconds(theirs), spread(theirs), f"{ratio.median:.2f}",
            f"{ratio.low:.2f}-{ratio.high:.2f}", megabytes(found.ours), megabytes(found.theirs)]


def torch_version(python: str) -> str | None:
    """None where that interpreter cannot import torch, or is none."""
    try:
        answer = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
