"""Docstrings of Python's library with their first lines, a task of summarisation for `npgpt train --objective translate`:

    python -m benchmarks.docstrings DIR

writes DIR/docstrings.train.jsonl and DIR/docstrings.test.jsonl, and prints the ROUGE figures of a guess that every model has
to beat: the first eight words of the text.
"""
import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npgpt.scoring.summaries import summary_report
from npgpt.text.summaries import python_summaries

WORDS = 8
TEST = 10                                       # one pair in so many is for the test


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docstrings", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args(arguments).folder
    pairs = python_summaries()
    order = np.random.default_rng(0).permutation(len(pairs)).tolist()
    count = len(pairs) // TEST
    folder.mkdir(parents=True, exist_ok=True)
    for name, some in (("train", order[count:]), ("test", order[:count])):
        lines = [json.dumps({"source": pairs[i].source, "target": pairs[i].target}, ensure_ascii=False) + "\n" for i in some]
        (folder / f"docstrings.{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    right = [pairs[i].target for i in order[:count]]
    first = [" ".join(pairs[i].source.split()[:WORDS]) for i in order[:count]]
    print(f"the first {WORDS} words of each text of docstrings.test.jsonl\n{summary_report(right, first)}")


if __name__ == "__main__":
    main()
