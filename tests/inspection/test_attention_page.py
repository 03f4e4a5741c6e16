"""The page of attention weights"""
import base64
import json
import re

import numpy as np

from npgpt.inspection.attention_page import attention_page

WEIGHTS = np.tril(np.random.default_rng(0).random((2, 3, 4, 4)))
PROBABILITIES = np.array([[0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
HOSTILE = ["</script>", '"\'`${x}', "<!--", "🤗"]


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.decode(), re.DOTALL)[1])


def page(tokens=tuple("abcd"), weights=WEIGHTS, causal=True):
    ids = np.array([0, 1, 0, 2])
    return attention_page("<model>", ids, tokens, weights, PROBABILITIES, [0, 5], [1, 2, 7], "ABC".__getitem__, causal)


def test_weights_are_stored_row_by_row_up_to_the_diagonal():
    data = data_of(page())
    found = np.frombuffer(base64.b64decode(data["weights"]), "<u2").reshape(2, 3, 10) / 65535
    assert np.abs(found - WEIGHTS[(..., *np.tril_indices(4))]).max() <= 0.5 / 65535 + 1e-12
    assert (data["layers"], data["heads"]) == ([0, 5], [1, 2, 7])


def test_every_position_has_its_likeliest_next_tokens_and_the_actual_one():
    data = data_of(page())
    assert data["next"][0] == [["B", 0.6, 1], ["C", 0.3, 2], ["A", 0.1, 0]]
    assert data["came"] == [{"id": 1, "p": 0.6, "rank": "1"}, {"id": 0, "p": 0.2, "rank": "2"},
                            {"id": 2, "p": 0.25, "rank": "2"}, None]


def test_weights_on_both_sides_are_stored_whole_and_each_position_has_its_own_token():
    weights = np.random.default_rng(1).random((2, 3, 4, 4))
    data = data_of(page(weights=weights, causal=False))
    found = np.frombuffer(base64.b64decode(data["weights"]), "<u2").reshape(weights.shape) / 65535
    assert np.abs(found - weights).max() <= 0.5 / 65535 + 1e-12 and data["causal"] is False
    assert data["came"] == [{"id": 0, "p": 0.1, "rank": "3"}, {"id": 1, "p": 0.2, "rank": "2"},
                            {"id": 0, "p": 0.5, "rank": "1"}, {"id": 2, "p": 0.0, "rank": "2"}]


def test_tokens_that_look_like_markup_are_harmless():
    text = page(HOSTILE).decode()
    assert data_of(page(HOSTILE))["tokens"] == HOSTILE
    assert text.count("</script>") == page().decode().count("</script>") and "&lt;model&gt;" in text
