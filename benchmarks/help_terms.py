"""Terms of code in Python's help topics, a real task for `npgpt finetune --task tagging`:

    python -m benchmarks.help_terms DIR

The topics, which help("with") shows, have terms in quotation marks, such as "__enter__()". Paragraphs with such terms are
written to DIR/terms.train.jsonl and, of every fourth topic, to DIR/terms.test.jsonl: their words without the quotation marks,
and the tags B-TERM and I-TERM for the words of terms, O for all others. No paragraph is in both files. DIR/terms.txt has all
paragraphs but those of the test, as they are, to pretrain a model on. The F1 of two guesses from the training data is printed:
to tag every word that was quoted there, or every one that was quoted more often than not.
"""
import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from npgpt.scoring.spans import span_report

TERM = re.compile(r'"([^"]{1,40})"|``([^`]{1,40})``|`([^`]{1,40})`')
WORD = re.compile(r"\w+|[^\w\s]")
EVERY = 4                                       # topics, one is for the test
Paragraph = tuple[list[str], list[str]]         # words and tags


def paragraphs(topic: str) -> list[str]:
    return re.split(r"\n\s*\n", topic.strip())


def is_example(text: str) -> bool:
    """Whether a paragraph is prose with terms; not so grammars, examples and tables, whose quotation marks are code."""
    return bool(TERM.search(text)) and "::=" not in text and ">>>" not in text and not text.startswith(("   ", "+--"))


def tagged(text: str) -> Paragraph:
    words, tags, after = [], [], 0
    for found in TERM.finditer(text):
        plain, term = WORD.findall(text[after:found.start()]), WORD.findall("".join(filter(None, found.groups())))
        words += plain + term
        tags += ["O"] * len(plain) + ["B-TERM", *["I-TERM"] * len(term)][:len(term)]
        after = found.end()
    rest = WORD.findall(text[after:])
    return words + rest, tags + ["O"] * len(rest)


def guess(train: Sequence[Paragraph], test: Sequence[Paragraph], known: Callable[[int, int], bool]) -> float:
    """The F1 of tagging the words for which known(times quoted, times in all) is true. Those side by side are one term."""
    total = Counter(word for words, _ in train for word in words)
    quoted = Counter(word for words, tags in train for word, tag in zip(words, tags) if tag != "O")
    predicted = []
    for words, _ in test:
        inside = [known(quoted[word], total[word]) for word in words]
        predicted.append(["O" if not now else "I-TERM" if before else "B-TERM"
                          for before, now in zip([False, *inside], inside)])
    return span_report([tags for _, tags in test], predicted).micro.f1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.help_terms", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    args = parser.parse_args(arguments)
    from pydoc_data.topics import topics               # here, because some distributions of Python lack it
    names = sorted(topics)
    every = dict.fromkeys(text for name in names for text in paragraphs(topics[name]))               # some topics share some
    held_out = dict.fromkeys(text for name in names[EVERY - 1::EVERY] for text in paragraphs(topics[name]))
    others = [text for text in every if text not in held_out]
    train, test = ([tagged(text) for text in texts if is_example(text)] for texts in (others, held_out))
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "terms.txt").write_text("\n\n".join(others) + "\n", encoding="utf-8")
    for name, some in (("train", train), ("test", test)):
        lines = (json.dumps({"tokens": words, "tags": tags}) + "\n" for words, tags in some)
        (args.folder / f"terms.{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"terms.{name}.jsonl: {len(some):,} paragraphs, {sum(tags.count('B-TERM') for _, tags in some):,} terms")
    for name, known in (("every word that was quoted", lambda quoted, total: quoted > 0),
                        ("what was quoted more often than not", lambda quoted, total: 2 * quoted > total)):
        print(f"F1 of tagging {name:37}{guess(train, test, known):.3f}")


if __name__ == "__main__":
    main()
