"""Heads for labelled examples in Hugging Face's files: against models of transformers' classes, and what is refused."""
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.interop.families import FAMILIES
from npgpt.interop.gpt2 import GPT2
from npgpt.interop.heads import MOST_LABELS, SEVERAL, head_fields, parse_heads
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load, load_model, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import CLASSIFICATION, KINDS, MULTIPLE_CHOICE, REGRESSION, SPAN, TAGGING, Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, initial_parameters

GOLDEN = Path(__file__).parent / "golden" / "heads"
LABELS = ("no", "perhaps", "yes")
CONFIGURATION = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=3)
heads = st.builds(lambda kind, labels: Head(kind, labels if kind in (CLASSIFICATION, TAGGING) else ()),
                  st.sampled_from(KINDS), st.lists(st.text(max_size=5), min_size=2, max_size=4, unique=True).map(tuple))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers_class(kind):
    """Of every position, or of the last. Those of GPT-Neo, which attends in float32, are equal to 1e-6."""
    model = load(GOLDEN / kind)
    assert model.heads == (Head(kind, LABELS if kind in (CLASSIFICATION, TAGGING) else ()),)
    expected, _ = read_safetensors(GOLDEN / kind / "golden.safetensors")
    p = groups(model.parameters, model.table)
    states, _ = gpt(expected["ids"], p, model.config)
    w, b = p.heads[0]
    logits = (states if kind in (TAGGING, SPAN) else states[:, -1]) @ w + (0 if b is None else b)
    tolerance = 1e-6 if kind == SPAN else 1e-12
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=tolerance * abs(logits).max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_with_a_head_is_saved_with_the_same_bytes_and_the_same_class(kind, tmp_path):
    """transformers writes the tied table of a DoubleHeadsModel under the name of the language-model head."""
    save(tmp_path, load(GOLDEN / kind))
    before, after = (read_safetensors(folder / WEIGHTS)[0] for folder in (GOLDEN / kind, tmp_path))
    if kind == MULTIPLE_CHOICE:
        before["transformer.tokens_embed.weight"] = before.pop("lm_head.weight")
    assert before.keys() == after.keys() and all(before[name].tobytes() == after[name].tobytes() for name in before)
    was, now = (json.loads((folder / CONFIG).read_text()) for folder in (GOLDEN / kind, tmp_path))
    assert was["architectures"] == now["architectures"] and was["model_type"] == now["model_type"]
    assert was.get("id2label", {}) == now.get("id2label", {})
    assert load(tmp_path).heads == load(GOLDEN / kind).heads


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_language_model_it_is_loaded_without_its_head(kind):
    parameters, config = load_model(GOLDEN / kind)
    assert (parameters == load(GOLDEN / kind).parameters[:len(parameters)]).all()
    groups(parameters, model_table(config))                        # raises ValueError for another length


@given(st.sampled_from(sorted(FAMILIES)), heads, st.lists(heads, max_size=2), st.booleans(), st.sampled_from([0.25, 1.0, 4.0]))
def test_heads_survive_the_description_in_config_json(model_type, first, others, both_orders, scale):
    first = first._replace(scale=scale if first.kind == REGRESSION else 1.0)
    several = (first._replace(both_orders=both_orders), *(head._replace(name=f"task{i}") for i, head in enumerate(others)))
    stored = json.loads(json.dumps(head_fields(FAMILIES[model_type], several)))
    assert parse_heads(stored, FAMILIES[model_type]) == several


def test_the_tensors_of_further_heads_begin_with_the_names_of_their_tasks(tmp_path):
    several = (Head(CLASSIFICATION, LABELS, "tone"), Head(CLASSIFICATION, LABELS[:2], "topic"), Head(SPAN, name="answer"))
    parameters = initial_parameters(model_table(CONFIGURATION, several))
    save(tmp_path, Model(parameters, CONFIGURATION, None, several))
    shapes = {name: tensor.shape for name, tensor in read_safetensors(tmp_path / WEIGHTS)[0].items()
              if not name.startswith("transformer.")}
    assert shapes == {"score.weight": (3, 6), "topic.score.weight": (2, 6), "answer.qa_outputs.weight": (2, 6),
                      "answer.qa_outputs.bias": (2,)}
    loaded = load(tmp_path)
    assert loaded.heads == several and loaded.parameters.tobytes() == parameters.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_file_of_a_regression_has_the_weights_of_the_number_itself(tmp_path, dtype):
    """As transformers knows no scale. The parameters are told exactly."""
    plain, scaled = (Head(REGRESSION)._replace(scale=scale) for scale in (1.0, 2.0**-7))
    parameters = initial_parameters(model_table(CONFIGURATION, (plain,)), 3, dtype)
    for head in (plain, scaled):
        save(tmp_path / str(head.scale), Model(parameters, CONFIGURATION, None, (head,)))
    one, other = (read_safetensors(tmp_path / str(head.scale) / WEIGHTS)[0]["score.weight"] for head in (plain, scaled))
    assert (other == one / 128).all()
    loaded = load(tmp_path / str(scaled.scale))
    assert loaded.heads == (scaled,) and loaded.parameters.tobytes() == parameters.tobytes()


def test_a_model_without_further_heads_has_none():
    assert parse_heads({}, GPT2) == parse_heads({"architectures": ["GPT2LMHeadModel"]}, GPT2) == ()
    assert parse_heads({"architectures": ["BertForSequenceClassification"]}, GPT2) == ()
    assert parse_heads({"architectures": "GPT2ForTokenClassification"}, GPT2) == ()
    assert parse_heads({"architectures": [5]}, GPT2) == ()


@pytest.mark.parametrize("fields, expected", [
    ({}, Head(CLASSIFICATION, ("LABEL_0", "LABEL_1"))), ({"id2label": {"0": "x"}}, Head(REGRESSION)),
    ({"id2label": {"0": "x"}, "problem_type": "regression"}, Head(REGRESSION)),
    ({"id2label": {"0": "x"}, "problem_type": "single_label_classification"}, Head(CLASSIFICATION, ("x",))),
    ({"id2label": {"1": "b", "0": "a"}, "problem_type": None}, Head(CLASSIFICATION, ("a", "b")))])
def test_a_single_label_means_a_number_unless_the_problem_is_named(fields, expected):
    assert parse_heads({"architectures": ["GPT2ForSequenceClassification"], **fields}, GPT2) == (expected,)


@pytest.mark.parametrize("labels", [{}, [], None, "ab", 5, {"1": "a"}, {"0": "a", "2": "b"}, {"0": "a", "1": "a"}, {"0": 1},
                                    {"0": ["a"]}, {"0": "a", "01": "b"},
                                    {str(i): str(i) for i in range(MOST_LABELS + 1)}])
def test_labels_without_a_number_each_are_refused(labels):
    with pytest.raises(InputError, match="id2label must give different labels"):
        parse_heads({"architectures": ["GPT2ForTokenClassification"], "id2label": labels}, GPT2)


def test_several_labels_at_once_are_refused():
    with pytest.raises(InputError, match="'multi_label_classification' is not supported: only"):
        parse_heads({"architectures": ["GPT2ForSequenceClassification"], "problem_type": "multi_label_classification"}, GPT2)


ONE = {"kind": MULTIPLE_CHOICE, "labels": [], "name": "a"}


@pytest.mark.parametrize("stored", [None, 5, "ab", {}, [], [ONE, ONE], [ONE, {**ONE, "name": 5}], [ONE, {"kind": SPAN}],
                                    [ONE, {**ONE, "name": "b", "kind": "poem"}], [ONE, {**ONE, "name": "b", "labels": [1]}],
                                    [ONE, {**ONE, "name": "b", "kind": [SPAN]}], [ONE, {**ONE, "name": "b", "labels": None}],
                                    [ONE, {**ONE, "name": "b", "both_orders": 1}], [ONE, "b"], [[ONE]],
                                    [{**ONE, "kind": CLASSIFICATION}], [{**ONE, "kind": TAGGING}], [{**ONE, "scale": 2.0}],
                                    *([{**ONE, "kind": REGRESSION, "scale": scale}] for scale in (0, -2.0, 3.0, 1e300, "2", [2.0], True))])
def test_a_description_of_several_heads_that_makes_no_sense_is_refused(stored):
    with pytest.raises(InputError, match=f"{SEVERAL} must be a list of heads"):
        parse_heads({SEVERAL: stored}, GPT2)
