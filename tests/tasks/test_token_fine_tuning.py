"""Heads for tokens: against transformers, without padding, and in batches."""
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import require_close, seeds
from npgpt.checking.catalogue import SMALL_BERT, SMALL_GPT
from npgpt.checking.model import unit_scale_parameters
from npgpt.checking.tasks import ANSWER, TAGS, draw_token_batch
from npgpt.interop.huggingface import load, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.json_files import read_json
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.heads import SPAN
from npgpt.model.layers import PLAIN
from npgpt.model.parameters import groups
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.tagging import TaggedInputs
from npgpt.tasks.token_fine_tuning import TokenBatch, TokenFineTuning, token_batch

GOLDEN = Path(__file__).parent / "golden" / "tokens"
NAMES = ("bert_tagging", "bert_span", "gpt2_tagging", "gpt2_span")
bodies, heads = st.sampled_from([SMALL_BERT, SMALL_GPT]), st.sampled_from([TAGS, ANSWER])


def draw_arguments(config, head, seed):
    rng = np.random.default_rng(seed)
    task = TokenFineTuning(config, head)
    return task, draw_token_batch(head, rng), unit_scale_parameters(task.table, rng)


def golden(name):
    model, (expected, _) = load(GOLDEN / name), read_safetensors(GOLDEN / name / "golden.safetensors")
    batch = TokenBatch(*(expected[field] for field in TokenBatch._fields))
    return model, TokenFineTuning(model.config.without_dropout(), model.heads[0]), batch, expected


@pytest.mark.parametrize("name", NAMES)
def test_loss_logits_and_gradients_are_those_of_transformers(name):
    model, task, batch, expected = golden(name)
    loss, gradients = task.loss_and_gradients(batch, model.parameters)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)
    real = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    logits, theirs = task.loss_and_logits(batch, model.parameters)[1], expected["logits"]
    if task.is_span:
        assert (logits[~np.broadcast_to(real[:, None], logits.shape)] == -np.inf).all()
        logits, theirs = logits.swapaxes(1, 2), theirs.swapaxes(1, 2)
    require_close(logits[real], theirs[real], 1e-10)
    tensors = tensors_as_in_file(gradients, model.config, model.heads)
    names = {name.removeprefix("gradient.") for name in expected if name.startswith("gradient.")}
    assert names == set(tensors)
    for tensor in names:
        require_close(tensors[tensor], expected[f"gradient.{tensor}"], 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_transformers_is_saved_with_the_same_tensors_and_the_same_class(name, tmp_path):
    save(tmp_path, load(GOLDEN / name))
    before, after = (read_safetensors(folder / "model.safetensors")[0] for folder in (GOLDEN / name, tmp_path))
    assert before.keys() == after.keys() and all(before[tensor].tobytes() == after[tensor].tobytes() for tensor in before)
    was, now = (read_json(folder / "config.json") for folder in (GOLDEN / name, tmp_path))
    assert was["architectures"] == now["architectures"] and was.get("id2label") == now.get("id2label")


@settings(max_examples=12)
@given(bodies, heads, st.integers(1, 3), seeds)
def test_longer_padding_changes_neither_loss_nor_gradients_nor_logits(config, head, more, seed):
    """Whatever the ids and segments of the padding are."""
    config = dataclasses.replace(config, n_positions=9)
    task, batch, parameters = draw_arguments(config, head, seed)
    rng = np.random.default_rng(seed)
    real = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    padding = rng.integers(9, size=(3, more))
    ids = np.where(real, batch.ids, rng.integers(9, size=real.shape))
    longer = batch._replace(ids=np.concatenate([ids, padding], axis=1),
                            segments=np.concatenate([batch.segments, padding % 2], axis=1))
    if head.kind != SPAN:
        longer = longer._replace(targets=np.concatenate([batch.targets, np.full((3, more), IGNORED)], axis=1))
    loss, gradients = task.loss_and_gradients(batch, parameters)
    other_loss, others = task.loss_and_gradients(longer, parameters)
    assert other_loss == pytest.approx(loss, rel=1e-12)
    require_close(others, gradients, 1e-12)
    ours, theirs = (task.loss_and_logits(one, parameters)[1] for one in (batch, longer))
    for row, length in enumerate(batch.lengths):
        if head.kind == SPAN:
            require_close(theirs[row, :, :length], ours[row, :, :length], 1e-12)
        else:
            require_close(theirs[row, :length], ours[row, :length], 1e-12)


@settings(max_examples=6)
@given(bodies, heads, seeds)
def test_the_loss_is_the_mean_over_targets_of_single_sequences(config, head, seed):
    task, batch, parameters = draw_arguments(config, head, seed)
    total = count = 0
    for row, length in enumerate(batch.lengths):
        targets = batch.targets[row:row + 1] if head.kind == SPAN else batch.targets[row:row + 1, :length]
        alone = TokenBatch(batch.ids[row:row + 1, :length], batch.segments[row:row + 1, :length],
                           batch.lengths[row:row + 1], targets)
        total += float(task.loss(alone, parameters)) * task.count(alone)
        count += task.count(alone)
    assert count == task.count(batch)
    assert float(task.loss(batch, parameters)) == pytest.approx(total / count, rel=1e-12)


@pytest.mark.parametrize("config", [SMALL_BERT, SMALL_GPT], ids=["bert", "gpt"])
@pytest.mark.parametrize("head", [TAGS, ANSWER], ids=lambda head: head.kind)
@pytest.mark.parametrize("rows", [1, 3], ids=["tensor-parallel", "data-parallel"])
def test_gradients_on_threads_are_those_on_one(config, head, rows):
    task, batch, parameters = draw_arguments(config, head, 0)
    batch = TokenBatch(*(array[:rows] for array in batch))
    loss, gradients = task.loss_and_gradients(batch, parameters)
    with parallel_gradients(task, threads=2) as loss_and_gradients:
        parallel_loss, parallel = loss_and_gradients(batch, parameters)
    assert parallel_loss == pytest.approx(loss, rel=1e-13)
    require_close(parallel, gradients, 1e-12)


@pytest.mark.parametrize("head", [TAGS, ANSWER], ids=lambda head: head.kind)
def test_float32_stays_float32(head):
    task, batch, parameters = draw_arguments(dataclasses.replace(SMALL_BERT, resid_pdrop=0.1), head, 0)
    loss, gradients = task.loss_and_gradients(batch, parameters.astype(np.float32), np.random.default_rng(0))
    assert gradients.dtype == np.float32 == task.loss(batch, parameters.astype(np.float32)).dtype


def test_the_segments_of_a_bert_with_a_single_kind_are_all_the_same():
    config = dataclasses.replace(SMALL_BERT, type_vocab_size=1)
    task, batch, parameters = draw_arguments(config, ANSWER, 0)
    assert batch.segments.any()
    assert task.loss(batch, parameters) == task.loss(batch._replace(segments=np.zeros_like(batch.segments)), parameters)


def inputs(*lengths):
    return [TaggedInputs(np.arange(length), np.zeros(length, int), np.full(length, 1), False, np.arange(length))
            for length in lengths]


def test_batches_are_filled_up_at_their_ends():
    batch = token_batch(inputs(3, 1), dataclasses.replace(SMALL_BERT, pad_token_id=7))
    assert batch.ids.tolist() == [[0, 1, 2], [0, 7, 7]] and batch.targets.tolist() == [[1, 1, 1], [1, IGNORED, IGNORED]]
    assert batch.lengths.tolist() == [3, 1] and not batch.segments.any()


def test_validation_has_every_example_once_and_like_lengths():
    task = TokenFineTuning(SMALL_BERT, TAGS, [], inputs(3, 1, 2, 5, 4))
    assert [batch.lengths.tolist() for batch in task.validation_batches(2)] == [[1, 2], [3, 4], [5]]
    assert [chosen for _, chosen in task.batches(task.validation, 2)] == [[1, 2], [0, 4], [3]]


def test_the_loss_of_a_uniform_guess_and_the_targets_of_an_example():
    task = TokenFineTuning(SMALL_BERT, TAGS, inputs(2, 4))
    assert task.uniform_loss == pytest.approx(math.log(3)) and task.units_per_example == 3
    assert TokenFineTuning(SMALL_BERT, ANSWER, inputs(2, 4)).uniform_loss == pytest.approx(math.log(8) / 2)


@pytest.mark.parametrize("rate", ["resid_pdrop", "attn_pdrop"])
def test_states_have_the_dropout_of_the_residual_stream_before_the_head(rate):
    task = TokenFineTuning(dataclasses.replace(SMALL_BERT, **{rate: 0.6}), TAGS)
    parameters = unit_scale_parameters(task.table, np.random.default_rng(0))
    batch = draw_token_batch(TAGS, np.random.default_rng(0))
    batch = TokenBatch(*(np.concatenate([array] * 10) for array in batch))
    _, _, (_, dropped, *_) = task.forward(batch, groups(parameters, task.table), np.random.default_rng(0), PLAIN)
    assert (dropped is None) == (rate == "attn_pdrop")
    if dropped:
        keep, scale = dropped
        assert keep.mean() == pytest.approx(0.4, abs=0.1) and scale == 1 / 0.4
