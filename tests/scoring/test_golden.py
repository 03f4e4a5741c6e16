"""npgpt evaluate finds what EleutherAI's lm-evaluation-harness found for the same model and the same files, item by item."""
import json
from pathlib import Path

import pytest

from npgpt.__main__ import main

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
NAMES = {"acc": "sum", "acc_norm": "per character", "acc_bytes": "per byte", "acc_mutual_info": "minus alone"}


def evaluated(folder, *arguments):
    """What --json and --items write."""
    figures, items = folder / "figures.json", folder / "items.jsonl"
    assert main(["evaluate", "--model", str(GOLDEN / "model"), "--json", str(figures), "--items", str(items),
                 *map(str, arguments)]) == 0
    return json.loads(figures.read_text()), [json.loads(line) for line in items.read_text().splitlines()]


@pytest.mark.parametrize("shots", [0, 2])
def test_choices(tmp_path, shots):
    expected = EXPECTED[f"choices {shots}"]
    figures, items = evaluated(tmp_path, "--data", GOLDEN / "choices.jsonl", "--shots", shots, "--description", "Read this.")
    for item, pairs in zip(items, expected["items"], strict=True):
        log_probabilities = [one["log_probability"] for one in item["choices"]]
        alone = [one["log_probability_alone"] for one in item["choices"]]
        assert log_probabilities + alone == pytest.approx([log_probability for log_probability, _ in pairs], abs=1e-10)
    for name, ranking in NAMES.items():
        assert figures["accuracy"][ranking] == pytest.approx(expected["figures"][name])
    assert (figures["cut"] > 0) == (shots > 0)


def test_last_words(tmp_path):
    expected = EXPECTED["passages 0"]
    figures, items = evaluated(tmp_path, "--data", GOLDEN / "passages.jsonl")
    for item, ((log_probability, greedy),) in zip(items, expected["items"], strict=True):
        assert item["log_probability"] == pytest.approx(log_probability, abs=1e-10) and item["greedy"] == greedy
    assert figures["perplexity"] == pytest.approx(expected["figures"]["perplexity"], rel=1e-10)
    assert figures["accuracy"] == expected["figures"]["acc"]
