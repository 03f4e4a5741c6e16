"""Heads, and the tables of whole models: how their parameters start."""
import dataclasses
import math

import pytest

from npgpt.checking.catalogue import SMALL_BERT, SMALL_GPT
from npgpt.checking.tasks import SMALL_ENCODER_DECODER
from npgpt.model.heads import CLASSIFICATION, MULTIPLE_CHOICE, REGRESSION, SPAN, TAGGING, Head, head_table, model_table
from npgpt.model.parameters import named_leaves

HEADS = (Head(CLASSIFICATION, ("a", "b", "c")), Head(MULTIPLE_CHOICE, name="second"))
UNTIED_GPT, UNTIED_BERT = (dataclasses.replace(config, tie_word_embeddings=False) for config in (SMALL_GPT, SMALL_BERT))


@pytest.mark.parametrize("config, heads", [
    (SMALL_GPT, ()), (UNTIED_GPT, HEADS), (dataclasses.replace(SMALL_GPT, pre_layer_norm=False), HEADS), (SMALL_BERT, ()),
    (UNTIED_BERT, ()), (SMALL_BERT, (Head(SPAN),)), (SMALL_ENCODER_DECODER, ())])
def test_all_matrices_start_with_the_deviation_of_the_configuration_except_the_last_of_pre_ln_branches(config, heads):
    """Gains start at 1 and biases at 0. Weight decay acts on matrices alone."""
    config = dataclasses.replace(config, initializer_range=0.3)
    smaller = config.pre_layer_norm if hasattr(config, "pre_layer_norm") else False
    for name, row in named_leaves(model_table(config, heads)):
        matrix, last = len(row.shape) == 2, name.endswith(("w_proj", "w_down"))
        deviation = 0.3 / math.sqrt(2 * config.n_layer) if smaller and last else 0.3
        expected = (0.0, deviation, True) if matrix else (float(name.endswith("gain")), 0.0, False)
        assert (row.mean, row.deviation, row.decays) == expected, name


@pytest.mark.parametrize("head, outputs, has_bias", [
    (HEADS[0], 3, False), (Head(REGRESSION), 1, False), (Head(MULTIPLE_CHOICE), 1, True),
    (Head(TAGGING, ("O", "B")), 2, True), (Head(SPAN), 2, True)])
def test_a_head_has_as_many_logits_as_it_has_answers_and_a_bias_where_transformers_has_one(head, outputs, has_bias):
    w, b = head_table(head, SMALL_GPT)
    assert w.shape == (SMALL_GPT.n_embd, outputs) and (b.shape == (outputs,) if has_bias else b is None)
