"""Comparison: what changed between two runs, figure by figure."""
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Table, number, paragraph
from npgpt.errors import InputError

FORMAT = 1
PARTS = {"machine", "short", "peaks", "results"}            # of a document, those that are compared
# The figures that are compared, and whether more is better (1), worse (-1) or neither (0). Tokens/s, GFLOP/s,
# GB/s and shares follow from these.
FIGURES = {"ms": -1, "peak MB": -1, "page faults": -1, "speed": 1, "exponent": 0,
           "sgemm peak GFLOP/s": 1, "bandwidth GB/s": 1, "reading GB/s": 1}
SAME = 0.05                  # a ratio at most this far from 1 is no change
COLUMNS = (("figure", -58), ("before", 9), ("now", 9), ("ratio", 6), ("", -10))


class Figure(NamedTuple):
    value: float
    low: float | None                           # quartiles, where there are some
    high: float | None


def read_results(file: Path) -> dict:
    """A file that --json wrote. Raises InputError, or OSError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{file} is not JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or not PARTS <= document.keys():
        raise InputError(f"{file} was not written by --json of these benchmarks")
    return document


def figures(tree: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """Every figure in nested dicts that is compared, with its path."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from figures(value, (*path, name))
        elif name in FIGURES and value is not None:
            yield (*path, name), Figure(value, tree.get(name + " low"), tree.get(name + " high"))


def print_comparison(before: dict, now: dict) -> None:
    """A row for each figure that both documents have, and a line that counts those that only one has."""
    paragraph(f"""Ratio: now over before. Same: the ratio is within {SAME:.0%} of 1, or the quartiles of both
        overlap. Tokens/s, GFLOP/s, GB/s and shares follow from the milliseconds.""")
    for name, value in now["machine"].items():
        old = before["machine"].get(name)
        if old != value and name not in ("date", "load"):
            paragraph(f"{name} was {old}, is {value}")
    if before["short"] != now["short"]:
        print("one of the two runs is a short one")
    print()
    old, new = (dict(figures({"peaks": document["peaks"], **document["results"]})) for document in (before, now))
    table = Table(*COLUMNS)
    for path in new:
        if path in old:
            was, now_is = old[path], new[path]
            ratio = f"{now_is.value / was.value:.2f}" if was.value else "-"
            table.row(" / ".join(path), number(was.value), number(now_is.value), ratio, verdict(path[-1], was, now_is))
    print(f"\nonly now: {len(new.keys() - old.keys())} figures; only before: {len(old.keys() - new.keys())}")


def verdict(name: str, before: Figure, now: Figure) -> str:
    """same, better, worse, or for figures that are neither good nor bad, changed."""
    near = abs(now.value - before.value) <= SAME * abs(before.value)
    spread = None not in (before.low, now.low)
    if near or spread and before.low <= now.high and now.low <= before.high:
        return "same"
    if not FIGURES[name]:
        return "changed"
    return "better" if (now.value > before.value) == (FIGURES[name] > 0) else "worse"
