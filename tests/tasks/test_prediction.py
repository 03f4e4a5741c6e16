"""Predictions of a fine-tuned model: for all examples, in their order, whatever batches they are computed in."""
import numpy as np
import pytest

from npgpt.checking.catalogue import SMALL_BERT, SMALL_GPT
from npgpt.checking.model import unit_scale_parameters
from npgpt.checking.tasks import CHOICE, LABELS, TAGS, draw_inputs
from npgpt.model.heads import model_table
from npgpt.model.model import Model
from npgpt.tasks.fine_tuning import EVALUATION_SIZE, FineTuning
from npgpt.tasks.prediction import prediction, predictions
from npgpt.tasks.tagging import TaggedInputs, tags_of
from npgpt.tasks.token_fine_tuning import TokenFineTuning, token_batch
from npgpt.tasks.token_prediction import token_predictions

COUNTS = [EVALUATION_SIZE, 2 * EVALUATION_SIZE, 2 * EVALUATION_SIZE + 2]


def draw_model(config, heads):
    return Model(unit_scale_parameters(model_table(config, heads), np.random.default_rng(0)), config, None, heads)


@pytest.mark.parametrize("which", [0, 1])
def test_each_example_is_answered_as_if_it_were_alone(which):
    heads, rng, counts = (LABELS, CHOICE._replace(name="second")), np.random.default_rng(0), []
    model = draw_model(SMALL_GPT, heads)
    inputs = [one for _ in range(22) for one in draw_inputs(heads[which], rng)]
    found, task = predictions(model, which, inputs, counts.append), FineTuning(SMALL_GPT, heads, lm_weight=0.0)
    assert counts == COUNTS
    for one, answer in zip(inputs, found, strict=True):
        logits, = task.predictions(task.batch(which, [one]), model.parameters)
        alone = prediction(heads[which], logits)
        assert answer.answer == alone.answer and answer.probabilities == pytest.approx(alone.probabilities)
        assert answer.answer == max(answer.probabilities, key=answer.probabilities.get)
        assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_each_text_is_tagged_as_if_it_were_alone():
    model, rng, counts = draw_model(SMALL_BERT, (TAGS,)), np.random.default_rng(0), []
    inputs = [TaggedInputs(rng.integers(1, 9, size=T), np.zeros(T, int), np.full(T, -100), False, np.arange(T))
              for T in rng.integers(1, SMALL_BERT.n_positions + 1, size=66)]
    found, task = token_predictions(model, [None] * 66, inputs, counts.append), TokenFineTuning(SMALL_BERT, TAGS)
    assert counts == COUNTS
    for one, answer in zip(inputs, found, strict=True):
        _, (logits,) = task.loss_and_logits(token_batch([one], SMALL_BERT), model.parameters)
        assert answer == tags_of(logits, one, TAGS.labels)
