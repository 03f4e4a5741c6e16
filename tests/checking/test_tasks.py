"""The losses of whole models that are checked: each has batches in which errors show, and the settings of its name."""
import numpy as np
import pytest

from npgpt.checking import draws
from npgpt.checking.tasks import TASKS, TaskCase, check_task
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.bert_config import BertConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.tasks.fine_tuning import FineTuning, LabelledBatch
from npgpt.tasks.inputs import ABSENT
from npgpt.tasks.masking import MaskedBatch
from npgpt.tasks.token_fine_tuning import TokenBatch
from npgpt.tasks.translation import PairBatch

every = pytest.mark.parametrize("name", TASKS)
several = pytest.mark.parametrize("seed", range(3))


def drawn(name, seed=0):
    return TASKS[name].make(np.random.default_rng(seed))


def without_padding(task, batch):
    """All sequences that a model reads."""
    if isinstance(batch, LabelledBatch):
        return [row[:end + 1] for ids, ends in zip(batch.ids, batch.ends) for row, end in zip(ids, ends) if end != ABSENT]
    if isinstance(batch, TokenBatch):
        return [row[:length] for row, length in zip(batch.ids, batch.lengths)]
    arrays = batch[:2] if isinstance(batch, PairBatch) else batch[:1]
    return [row[row != task.config.pad_token_id] for array in arrays for row in array]


def test_all_dimensions_of_arrays_differ():
    sizes = [draws.B, draws.T, draws.S, draws.H, draws.C, draws.I, draws.V, draws.C // draws.H]
    assert len(set(sizes)) == len(sizes)


@every
@several
def test_sequences_differ_in_length_and_have_ids_in_common(name, seed):
    task, batch = drawn(name, seed)
    sequences = without_padding(task, batch)
    assert len({*map(len, sequences)}) > 1 and max(map(len, sequences)) >= task.config.n_positions - 1
    ids = np.concatenate(sequences)
    assert len(np.unique(ids)) < len(ids) and 0 <= ids.min() <= ids.max() < task.config.vocab_size


@every
def test_there_is_padding_which_has_no_targets(name):
    task, batch = drawn(name)
    sizes = [array.size for array in (batch[:2] if isinstance(batch, PairBatch) else batch[:1])]
    assert sum(map(len, without_padding(task, batch))) < sum(sizes)
    if isinstance(batch, MaskedBatch):
        assert (batch.targets[batch.ids == task.config.pad_token_id] == IGNORED).all()
    elif isinstance(batch, TokenBatch) and not task.is_span:
        assert all((row[length:] == IGNORED).all() for row, length in zip(batch.targets, batch.lengths))


@pytest.mark.parametrize("name", ["masked", "tagging"])
def test_every_text_has_targets_and_the_longest_has_tokens_that_are_none(name):
    _, batch = drawn(name)
    counted = (batch.targets != IGNORED).sum(axis=1)
    assert counted.min() >= 1 and counted.max() < batch.ids.shape[1]
    assert len(set(counted)) > 1 or name == "masked"


@pytest.mark.parametrize("name", ["tagging", "span"])
def test_tokens_are_in_several_segments(name):
    _, batch = drawn(name)
    assert {0, 1} == {*batch.segments[np.arange(batch.ids.shape[1]) < batch.lengths[:, None]].tolist()}


@several
def test_choices_differ_in_number_and_pairs_have_both_orders(seed):
    names = ("choices", "both orders", "labels")
    choices, pairs, labels = (drawn(f"fine_tuning, {name}", seed)[1] for name in names)
    assert len({*(choices.ends != ABSENT).sum(axis=1)}) > 1
    assert pairs.ends.shape[1] == 2 and labels.ends.shape[1] == 1 and (pairs.ends != ABSENT).all()


@every
def test_a_task_has_the_settings_that_its_name_says(name):
    config = drawn(name)[0].config
    rates = [config.resid_pdrop, config.attn_pdrop]
    assert all(rates) if "dropout" in name else not any(rates)
    if isinstance(config, EncoderDecoderConfig):
        assert (config.decoder_layers < config.n_layer) == ("short decoder" in name)
        return
    assert config.tie_word_embeddings == ("untied" not in name)
    if not isinstance(config, BertConfig):
        assert config.pre_layer_norm == ("post-LN" not in name)
    if name.startswith(("tagging", "span")):
        assert isinstance(config, BertConfig) == ("GPT" not in name)


def test_the_auxiliary_loss_is_on_in_all_tasks_that_have_it_except_one():
    weights = {name: task.lm_weight for name in TASKS if isinstance(task := drawn(name)[0], FineTuning)}
    assert [name for name, weight in weights.items() if not weight] == ["fine_tuning, labels"]


def test_batch_and_parameters_are_drawn_from_the_seed_that_is_asked_for(monkeypatch):
    states, fixed = [], drawn("tagging, GPT")

    def make(rng):
        states.append(rng.bit_generator.state)
        return fixed

    monkeypatch.setitem(TASKS, "tagging, GPT", TaskCase(make))
    one, other = (check_task("tagging, GPT", ("complex",), seed).comparisons[0] for seed in (1, 2))
    assert states[0] == np.random.default_rng(1).bit_generator.state != states[1]
    assert not np.array_equal(one.analytic, other.analytic)            # of the same batch


def test_a_task_is_checked_by_the_methods_that_are_asked_for():
    for methods in (("central",), ("complex", "central")):
        report = check_task("tagging, GPT", methods)
        assert {(comparison.layer, *comparison.numeric) for comparison in report.comparisons} == {("tagging, GPT", *methods)}
