"""Fine-tuning: the loss of heads, the auxiliary loss of the language model, and every gradient."""
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import logits_of, seeds
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.checking.tasks import CHOICE, LABELS, NUMBER, PAIRS, TASKS, check_task, draw_inputs
from npgpt.interop.huggingface import load
from npgpt.interop.safetensors import read_safetensors
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups, named_views, parameter_count
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.fine_tuning import FineTuning, LabelledBatch, lm_weights
from npgpt.tasks.inputs import ABSENT, Inputs
from npgpt.training.optimiser import Optimiser

GOLDEN = Path(__file__).parent / "golden"
CONFIG = GPTConfig(vocab_size=9, n_positions=6, n_embd=6, n_layer=2, n_head=2, n_inner=7).without_dropout()
DROPPING = dataclasses.replace(CONFIG, embd_pdrop=0.2, attn_pdrop=0.3, resid_pdrop=0.4)
heads = st.sampled_from([LABELS, PAIRS, NUMBER, CHOICE])


def draw_arguments(task, seed=0, head=0):
    """A batch of three examples, and parameters of unit scale."""
    rng = np.random.default_rng(seed)
    return task.batch(head, draw_inputs(task.heads[head], rng)), unit_scale_parameters(task.table, rng)


def require_same(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def mean(values):
    return sum(values) / len(values)


@pytest.mark.parametrize("name", TASKS)
def test_every_gradient_by_complex_step(name):
    assert check_task(name, ("complex",)).require().worst("complex") <= 1e-12


def test_every_gradient_by_central_differences():
    check_task("fine_tuning, choices", ("central",)).require()


def states(parameters, task, sequence):
    """The hidden states (T, C) of a single sequence."""
    return gpt(sequence[None], groups(parameters, task.table), task.config)[0][0]


def log_softmax(z):
    return [value - math.log(sum(map(math.exp, z))) for value in z]


@settings(max_examples=10)
@given(heads, st.sampled_from([0.0, 0.5]), seeds)
def test_the_loss_follows_the_papers_equations(head, weight, seed):
    """One sequence at a time, without padding (Radford et al. 2018, eq. 3 to 5)."""
    rng = np.random.default_rng(seed)
    task, examples = FineTuning(CONFIG, [head], lm_weight=weight), draw_inputs(head, rng)
    parameters = unit_scale_parameters(task.table, rng)
    p = groups(parameters, task.table)
    losses, lm_losses = [], []
    for example in examples:
        last = [states(parameters, task, sequence)[-1] for sequence in example.sequences]
        if head == CHOICE:
            losses.append(-log_softmax([float(state @ p.heads[0].w[:, 0] + p.heads[0].b[0]) for state in last])[example.target])
        elif head == NUMBER:
            losses.append(float(sum(last) @ p.heads[0].w[:, 0] - example.target)**2)
        else:
            losses.append(-log_softmax((sum(last) @ p.heads[0].w).tolist())[example.target])
        each = []
        for sequence in example.sequences:
            logits = logits_of(sequence[None], parameters[:parameter_count(language_model_table(CONFIG))], CONFIG)[0]
            each.append(mean([-log_softmax(row.tolist())[following] for row, following in zip(logits, sequence[1:])]))
        lm_losses.append(mean(each))
    expected = mean(losses) + weight * mean(lm_losses)
    batch = task.batch(0, examples)
    assert float(task.loss(batch, parameters)) == pytest.approx(expected, rel=1e-12)
    assert task.loss_and_gradients(batch, parameters)[0] == pytest.approx(expected, rel=1e-12)
    assert task.loss_and_predictions(batch, parameters)[0] == pytest.approx(expected, rel=1e-12)


@settings(max_examples=10)
@given(heads, st.integers(1, 2), seeds)
def test_longer_padding_changes_nothing(head, more, seed):
    """Neither the loss nor the predictions nor a gradient, whatever the ids of the padding are."""
    task = FineTuning(dataclasses.replace(CONFIG, n_positions=8), [head])
    batch, parameters = draw_arguments(task, seed)
    padding = np.random.default_rng(seed).integers(9, size=(*batch.ends.shape, more))
    longer = batch._replace(ids=np.concatenate([batch.ids, padding], axis=2))
    loss, gradients = task.loss_and_gradients(batch, parameters)
    other_loss, others = task.loss_and_gradients(longer, parameters)
    assert other_loss == pytest.approx(loss, rel=1e-12)
    require_same(others, gradients)
    np.testing.assert_allclose(task.predictions(longer, parameters), task.predictions(batch, parameters), rtol=1e-11)


def test_choices_that_an_example_does_not_have_change_nothing():
    task = FineTuning(CONFIG, [CHOICE])
    batch, parameters = draw_arguments(task)
    assert (batch.ends == ABSENT).any()
    more = LabelledBatch(np.concatenate([batch.ids, batch.ids[:, :1]], axis=1),
                         np.concatenate([batch.ends, np.full((3, 1), ABSENT)], axis=1), batch.targets, batch.head)
    loss, gradients = task.loss_and_gradients(batch, parameters)
    other_loss, others = task.loss_and_gradients(more, parameters)
    assert other_loss == pytest.approx(loss, rel=1e-12)
    require_same(others, gradients)
    assert (task.predictions(more, parameters)[:, 3] == -np.inf).all()


def test_all_sequences_of_an_example_have_the_same_dropout_mask_before_the_head():
    """So two equal choices have equal logits, and the loss is ln 2, if dropout acts nowhere else."""
    config = dataclasses.replace(CONFIG, n_layer=1)
    task = FineTuning(config, [CHOICE], lm_weight=0.0)
    parameters = unit_scale_parameters(task.table, np.random.default_rng(0))
    same = np.array([1, 2, 3])
    batch = task.batch(0, [Inputs([same, same], 0, False)])
    p = groups(parameters, task.table)
    for b in p.blocks:                                             # branches that add nothing: their dropout has no effect
        for array in (b.attn.w_proj, b.attn.b_proj, b.mlp.w_down, b.mlp.b_down):
            array[...] = 0
    dropping = FineTuning(dataclasses.replace(config, resid_pdrop=0.5), [CHOICE], lm_weight=0.0)
    assert float(dropping.loss(batch, parameters, np.random.default_rng(0))) == pytest.approx(math.log(2), rel=1e-13)
    other = task.batch(0, [Inputs([same, same[::-1]], 0, False)])
    losses = {round(float(dropping.loss(other, parameters, np.random.default_rng(seed))), 6) for seed in range(5)}
    assert len(losses) == 5                                        # it does act, with another mask each time


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_language_models_weights_are_those_of_means_of_means(lengths):
    most = max(map(len, lengths))
    ends = np.array([row + [ABSENT] * (most - len(row)) for row in lengths])
    expected = [1 / (len(lengths) * len(row) * count) for row in lengths for count in row for _ in range(count)]
    np.testing.assert_allclose(lm_weights(ends), expected, rtol=1e-14)


def test_other_heads_have_no_gradient_and_one_head_learns_as_if_it_were_alone():
    second = CHOICE._replace(name="second")
    both, alone = FineTuning(CONFIG, [LABELS, second]), FineTuning(CONFIG, [second])
    batch, parameters = draw_arguments(both, head=1)
    out = np.full_like(parameters, np.nan)
    loss, _ = both.loss_and_gradients(batch, parameters, out=out)
    g, p = named_views(out, both.table), named_views(parameters, both.table)
    assert (g["heads.0.w"] == 0).all() and g["heads.1.w"].any()
    single = np.concatenate([p[name].ravel() for name in p if not name.startswith("heads.0")])
    expected_loss, expected = alone.loss_and_gradients(batch._replace(head=np.zeros(3, int)), single)
    assert loss == expected_loss
    np.testing.assert_array_equal(np.concatenate([g[name].ravel() for name in g if not name.startswith("heads.0")]), expected)


@pytest.mark.parametrize("name", TASKS)
def test_gradients_are_written_into_out_whatever_it_held(name):
    task, batch = TASKS[name].make(np.random.default_rng(0))
    parameters = unit_scale_parameters(task.table, np.random.default_rng(0))
    rngs = [np.random.default_rng(0) for _ in range(2)]
    _, expected = task.loss_and_gradients(batch, parameters, rngs[0])
    out = np.full_like(parameters, np.nan)
    assert task.loss_and_gradients(batch, parameters, rngs[1], out=out)[1] is out
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("head", [LABELS, NUMBER, CHOICE], ids=lambda head: head.kind)
def test_float32_stays_float32(head):
    task = FineTuning(DROPPING, [head])
    batch, parameters = draw_arguments(task)
    assert task.loss_and_gradients(batch, parameters.astype(np.float32), np.random.default_rng(0))[1].dtype == np.float32
    assert task.predictions(batch, parameters.astype(np.float32)).dtype == np.float32
    assert task.loss(batch, parameters.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("head", [PAIRS, CHOICE], ids=lambda head: head.kind)
@pytest.mark.parametrize("examples", [1, 3], ids=["tensor-parallel", "data-parallel"])
def test_gradients_on_threads_are_those_on_one(head, examples):
    task = FineTuning(CONFIG, [head])
    rng = np.random.default_rng(0)
    batch = task.batch(0, draw_inputs(head, rng)[:examples])
    parameters = unit_scale_parameters(task.table, rng)
    loss, gradients = task.loss_and_gradients(batch, parameters)
    with parallel_gradients(task, threads=2) as loss_and_gradients:
        parallel_loss, parallel = loss_and_gradients(batch, parameters)
    assert parallel_loss == pytest.approx(loss, rel=1e-13)
    require_same(parallel, gradients)


def test_parts_of_a_batch_add_up_to_the_whole():
    task = FineTuning(CONFIG, [CHOICE])
    batch, parameters = draw_arguments(task)
    parts = [LabelledBatch(*(array[rows] for array in batch)) for rows in (slice(0, 1), slice(1, None))]
    results = [task.loss_and_gradients(part, parameters, fraction=task.count(part) / 3) for part in parts]
    loss, gradients = task.loss_and_gradients(batch, parameters)
    assert task.count(batch) == 3 and sum(part for part, _ in results) == pytest.approx(loss, rel=1e-13)
    require_same(sum(part for _, part in results), gradients)


def test_validation_batches_have_every_example_once_and_like_lengths():
    rng = np.random.default_rng(0)
    examples = [Inputs([rng.integers(9, size=rng.integers(2, 7))], i % 3, False) for i in range(10)]
    task = FineTuning(CONFIG, [LABELS, LABELS._replace(name="b")], [[], []], [examples, examples[:3]])
    batches = list(task.validation_batches(4))
    assert [task.count(batch) for batch in batches] == [4, 4, 2, 3] and [batch.head[0] for batch in batches] == [0, 0, 0, 1]
    ends = np.concatenate([batch.ends[:, 0] for batch in batches[:3]])
    assert (np.diff(ends) >= 0).all() and sorted(ends + 1) == sorted(len(one.sequences[0]) for one in examples)
    chosen = [i for _, indices in task.batches(0, examples, 4) for i in indices]
    assert sorted(chosen) == list(range(10))


def test_the_loss_of_a_uniform_guess():
    lengths = [Inputs([np.zeros(3, int)] * count, 0, False) for count in (2, 4)]
    assert FineTuning(CONFIG, [LABELS], [lengths], lm_weight=0.5).uniform_loss == pytest.approx(math.log(3) + 0.5 * math.log(9))
    assert FineTuning(CONFIG, [CHOICE], [lengths], lm_weight=0.0).uniform_loss == pytest.approx(1.5 * math.log(2))
    numbers = [one._replace(target=target) for one, target in zip(lengths, (1.0, 3.0))]
    assert FineTuning(CONFIG, [LABELS, NUMBER], [lengths, numbers], lm_weight=0.0).uniform_loss == pytest.approx(5.0)
    assert FineTuning(CONFIG, [NUMBER._replace(scale=0.5)], [numbers], lm_weight=0.0).uniform_loss == pytest.approx(20.0)


def test_the_loss_of_a_regression_has_the_units_of_its_scale_and_its_answers_those_of_the_numbers():
    rng = np.random.default_rng(0)
    task, scaled = (FineTuning(CONFIG, [NUMBER._replace(scale=scale)], lm_weight=0.0) for scale in (1.0, 8.0))
    batch, parameters = task.batch(0, draw_inputs(NUMBER, rng)), unit_scale_parameters(task.table, rng)
    answers = scaled.predictions(batch, parameters)
    np.testing.assert_allclose(answers, 8 * task.predictions(batch, parameters), rtol=1e-14)
    loss, found = scaled.loss_and_predictions(batch, parameters)
    assert loss == pytest.approx(np.mean((answers[:, 0] - batch.targets)**2) / 64, rel=1e-12) and (found == answers).all()
    check_model(scaled, batch, methods=["complex"]).require()


def golden(name):
    """A model of transformers, a task with its head, the batch, and what PyTorch computed."""
    model = load(GOLDEN / name)
    expected, _ = read_safetensors(GOLDEN / name / "golden.safetensors")
    task = FineTuning(model.config.without_dropout(), model.heads, lm_weight=0.5 if name == "double_heads" else 0.0)
    batch = LabelledBatch(expected["ids"], expected["ends"], expected["targets"], np.zeros(len(expected["ids"]), int))
    return model, task, batch, expected


def require_golden(vector, model, expected, prefix):
    """The tensors of a flat vector equal those of the file, to 1e-10 of the largest entry."""
    tensors = tensors_as_in_file(vector, model.config, model.heads)
    names = {name.removeprefix(prefix) for name in expected if name.startswith(prefix)}
    assert names - {"lm_head.weight"} == set(tensors) - {"lm_head.weight"}
    for name, tensor in tensors.items():
        np.testing.assert_allclose(tensor, expected[prefix + name], rtol=0,
                                   atol=1e-10 * max(np.abs(expected[prefix + name]).max(), 1), err_msg=name)


@pytest.mark.parametrize("name", ["classification", "double_heads"])
def test_loss_logits_and_gradients_are_those_of_transformers(name):
    model, task, batch, expected = golden(name)
    loss, gradients = task.loss_and_gradients(batch, model.parameters)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)
    np.testing.assert_allclose(task.predictions(batch, model.parameters), expected["logits"], rtol=1e-11)
    require_golden(gradients, model, expected, "gradient.")


@pytest.mark.parametrize("name", ["classification", "double_heads"])
def test_twenty_updates_are_those_of_pytorch(name):
    model, task, batch, expected = golden(name)
    optimiser = Optimiser(model.parameters, task.table, beta1=0.9, beta2=0.999, weight_decay=0.01, eps=1e-4)
    for _ in range(20):
        optimiser.update(model.parameters, task.loss_and_gradients(batch, model.parameters)[1], 0.01)
    require_golden(model.parameters, model, expected, "updated.")
