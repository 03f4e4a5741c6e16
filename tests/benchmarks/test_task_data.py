"""The programs in benchmarks/ that write examples for a task."""
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))        # the benchmarks are no part of the package that is installed

from benchmarks import help_terms, stories  # noqa: E402

WHERE = re.compile(r"Where is (?:the )?(\w+)\?")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def place_of(asked, sentences):
    """The same rules once more, by the words: people go, and what somebody took goes with them until it is dropped."""
    place, holder = {}, {}
    for words in sentences:
        person, what = words[0], words[-1]
        if words[-3] == "to":
            place[person] = what
            place.update((thing, what) for thing, by in holder.items() if by == person)
        elif words[1] in ("dropped", "put", "left"):
            assert holder.pop(what) == person
        else:
            assert what not in holder and place.get(what, place[person]) == place[person]
            holder[what], place[what] = person, place[person]
    return place[asked]


def test_the_answers_about_stories_are_right_and_stand_where_they_are_said_to(tmp_path):
    stories.main([str(tmp_path), "--train", "300", "--test", "100"])
    train, test = read(tmp_path / "stories.train.jsonl"), read(tmp_path / "stories.test.jsonl")
    assert (len(train), len(test)) == (300, 100) and not {one["context"] for one in train} & {one["context"] for one in test}
    for one in (*train, *test):
        (answer,), context = one["answers"], one["context"]
        sentences = [sentence.split() for sentence in context.rstrip(".").split(". ")]
        assert place_of(WHERE.match(one["question"])[1], sentences) == answer["text"]
        assert context[answer["answer_start"]:].startswith(answer["text"] + ".")


def test_the_terms_of_help_topics_are_tagged_and_no_paragraph_is_in_both_files(tmp_path, capsys):
    pytest.importorskip("pydoc_data.topics")
    assert help_terms.tagged('see "next(x)" or ``in`` here') == (
        ["see", "next", "(", "x", ")", "or", "in", "here"],
        ["O", "B-TERM", "I-TERM", "I-TERM", "I-TERM", "O", "B-TERM", "O"])
    help_terms.main([str(tmp_path)])
    train, test = ({tuple(one["tokens"]) for one in read(tmp_path / f"terms.{name}.jsonl")} for name in ("train", "test"))
    assert train and test and not train & test and capsys.readouterr().out.count("F1") == 2
    pretraining = " ".join(help_terms.WORD.findall((tmp_path / "terms.txt").read_text(encoding="utf-8").replace('"', "")))
    long = [words for words in test if len(words) > 30]
    assert long and not [words for words in long if " ".join(words) in pretraining]
