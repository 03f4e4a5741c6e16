"""Fine-tuning on the command line: settings that follow from the data and the model, and figures of the validation data."""
import argparse
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from npgpt.checking.catalogue import SMALL_BERT, SMALL_GPT
from npgpt.checking.model import unit_scale_parameters
from npgpt.checking.tasks import LABELS, NUMBER, TAGS, draw_inputs
from npgpt.commands.finetune import add_arguments, learning_rate, resolve
from npgpt.commands.labelled import FineTune
from npgpt.commands.labelled_data import DataSet
from npgpt.commands.labelled_tokens import FineTuneTokens
from npgpt.scoring.regression import pearson
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.inputs import Inputs
from npgpt.tasks.tagging import TaggedInputs
from npgpt.tasks.token_fine_tuning import TokenFineTuning
from npgpt.text.examples import TaggedExample
from npgpt.training.evaluation import evaluate
from npgpt.training.settings import RATE_TIMES_WIDTH


def settings_of(examples, *arguments):
    """The settings of a run on so many examples."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    task = FineTuning(SMALL_GPT, [LABELS], [[Inputs([np.zeros(1, int)], 0, False)] * examples])
    return resolve(parser.parse_args([*map(str, arguments)]), SimpleNamespace(paths=[Path("a")], sha256="", task=task), None)


def test_an_epoch_is_the_time_between_validations_and_the_warmup_a_share_of_all_steps():
    settings = settings_of(32_000)
    assert (settings.steps, settings.eval_every, settings.warmup, settings.batch_size) == (8000, 1000, 16, 32)
    settings = settings_of(32_000, "--epochs", 3, "--accumulate", 4, "--batch-size", 16)
    assert (settings.steps, settings.eval_every, settings.warmup) == (1500, 500, 3)


def test_the_learning_rate_is_the_papers_at_its_width_and_larger_for_narrower_models():
    rates = [learning_rate(dataclasses.replace(SMALL_GPT, n_embd=width, n_head=2), False) for width in (768, 192)]
    assert rates == [6.25e-5, 5e-4]
    assert learning_rate(dataclasses.replace(SMALL_GPT, n_embd=192, n_head=2), True) == RATE_TIMES_WIDTH / 192


@pytest.mark.parametrize("head", [LABELS, NUMBER], ids=lambda head: head.kind)
def test_validation_is_over_all_examples_whatever_batches_they_are_in(head):
    rng = np.random.default_rng(0)
    inputs = [one for _ in range(3) for one in draw_inputs(head, rng)]
    task = FineTuning(SMALL_GPT, [head], [inputs], [inputs], lm_weight=0.0)
    parameters = unit_scale_parameters(task.table, rng)
    run = FineTune(task, None, None, np.dtype(float), None, "")
    found = [run.validate(parameters, task.validation_batches(size)) for size in (9, 4, 1)]
    logits = task.predictions(task.batch(0, inputs), parameters)
    targets = np.array([one.target for one in inputs])
    score = pearson(targets, logits[:, 0]) if head == NUMBER else (logits.argmax(axis=1) == targets).mean()
    for one in found:
        assert one.loss == pytest.approx(float(task.loss(task.batch(0, inputs), parameters)), rel=1e-12)
        assert one.score == pytest.approx(score) and [*one.others.values()] == [one.score]


def test_validation_of_tags_is_over_all_targets_whatever_batches_they_are_in():
    rng, inputs, examples = np.random.default_rng(0), [], []
    for T in (5, 1, 3, 2):
        targets = rng.integers(3, size=T)
        inputs.append(TaggedInputs(rng.integers(1, 9, size=T), np.zeros(T, int), targets, False, np.arange(T)))
        examples.append(TaggedExample(("word",) * T, tuple(TAGS.labels[i] for i in targets), 1))
    task = TokenFineTuning(SMALL_BERT, TAGS, inputs, inputs)
    parameters = unit_scale_parameters(task.table, rng)
    run = FineTuneTokens(task, None, None, np.dtype(float), None, "")
    run.data = [DataSet(Path("a"), examples, examples, Path("a"))]
    one, other = (run.validate(parameters, task.validation_batches(size)) for size in (4, 3))
    expected = evaluate(task, parameters, task.validation_batches(4))
    assert one.loss == pytest.approx(expected) and other.loss == pytest.approx(expected) and one.score == other.score
