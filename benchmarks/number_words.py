"""Number words from English to German, a task for `npgpt train --objective translate` whose answers are known exactly:

    python -m benchmarks.number_words DIR

writes DIR/numbers.train.jsonl and DIR/numbers.test.jsonl, pairs such as "twenty-one" and "einundzwanzig", whose numbers are
drawn from 0 to 999,999. No number is in both files.
"""
import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LARGEST = 999_999
ENGLISH = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
           "eighteen nineteen").split()
ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
GERMAN = ("null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
          "siebzehn achtzehn neunzehn").split()
GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def english(n: int) -> str:
    if n < 20:
        return ENGLISH[n]
    if n < 100:
        return ENGLISH_TENS[n // 10 - 2] + (f"-{english(n % 10)}" if n % 10 else "")
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    return f"{english(n // size)} {name}" + (f" {english(n % size)}" if n % size else "")


def german(n: int, before: bool = False) -> str:
    """before: whether another part of the word follows, so that 1 is "ein" and not "eins"."""
    if n < 20:
        return "ein" if n == 1 and before else GERMAN[n]
    if n < 100:
        return (german(n % 10, before=True) + "und" if n % 10 else "") + GERMAN_TENS[n // 10 - 2]
    size, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
    return german(n // size, before=True) + name + (german(n % size, before) if n % size else "")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.number_words", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--train", type=int, default=10_000, metavar="N", help="pairs to train on (default: 10,000)")
    parser.add_argument("--test", type=int, default=1_000, metavar="N", help="pairs to measure with (default: 1,000)")
    args = parser.parse_args(arguments)
    numbers = np.random.default_rng(0).permutation(LARGEST + 1)[:args.train + args.test].tolist()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, some in (("train", numbers[:args.train]), ("test", numbers[args.train:])):
        pairs = [json.dumps({"source": english(n), "target": german(n)}, ensure_ascii=False) + "\n" for n in some]
        (args.folder / f"numbers.{name}.jsonl").write_text("".join(pairs), encoding="utf-8")


if __name__ == "__main__":
    main()
