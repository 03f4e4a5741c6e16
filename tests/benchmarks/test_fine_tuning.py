"""The benchmark of fine-tuning: what it pretrains on, and what it compares with."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))                   # the benchmarks are no part of the package that is installed

from benchmarks.fine_tuning import majority, pretraining_text, tasks_in  # noqa: E402

EXAMPLES = {"texts": [{"text": "one", "label": "a"}, {"text": "two", "label": "a"}, {"text": "three", "label": "b"}],
            "pairs": [{"sentence1": "four", "sentence2": "five", "label": "a"}],
            "choices": [{"context": "six", "choices": ["seven", "eight"], "answer": 1}],
            "translation": [{"source": "nine", "target": "neun"}]}


@pytest.fixture
def folder(tmp_path):
    for name, examples in EXAMPLES.items():
        for part in ("train", "test"):
            (tmp_path / f"{name}.{part}.jsonl").write_text("".join(json.dumps(example) + "\n" for example in examples))
    (tmp_path / "alone.train.jsonl").write_text(json.dumps(EXAMPLES["texts"][0]))
    return tmp_path


def test_tasks_are_pairs_of_files_that_fine_tuning_is_for(folder):
    tasks = tasks_in(folder)
    assert list(tasks) == ["choices", "pairs", "texts"]
    assert tasks["texts"] == [folder / "texts.train.jsonl", folder / "texts.test.jsonl"]


def test_pretraining_sees_every_example_with_the_right_choice_and_one_of_two_texts_again_after_the_other(folder):
    lines = pretraining_text([train for train, _ in tasks_in(folder).values()]).splitlines()
    single = {"one", "two", "three"}
    assert len(lines) == 5 and single < {*lines}
    assert {frozenset(line.split()) for line in lines if line not in single} == {frozenset({"four", "five"}), frozenset({"six", "eight"})}
    assert all(line.split()[0] == line.split()[2] for line in lines if line not in single)


def test_the_majority_is_right_as_often_as_its_label_occurs(folder):
    assert majority(folder / "texts.test.jsonl") == 2 / 3


def test_a_folder_without_tasks_is_told_in_one_line(tmp_path):
    answer = subprocess.run([sys.executable, "-m", "benchmarks.fine_tuning", str(tmp_path)], cwd=ROOT, capture_output=True,
                            text=True)
    assert answer.returncode == 2 and f"{tmp_path} has no tasks" in answer.stderr.splitlines()[-1]
