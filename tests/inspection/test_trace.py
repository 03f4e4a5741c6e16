"""The trace of a pass, held against what the pass computes and against identities that gradients obey."""
import dataclasses
import inspect
import sys
from functools import partial
from importlib import import_module

import numpy as np
import pytest

from helpers import separate_qkv
from last_state_classification import LastStateClassification
from npgpt.inspection.intermediates import Call, Intermediate
from npgpt.inspection.trace import Trace, by_name, save_trace, trace
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.layers import causal_attention
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_head
from npgpt.model.parameters import groups, parameter_count
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

TINY = preset("tiny")
VARIANTS = {"tied": TINY,
            "untied": dataclasses.replace(TINY, tie_word_embeddings=False, n_inner=7),
            "relu": dataclasses.replace(TINY, activation_function="relu"),
            "sinusoidal": dataclasses.replace(TINY, position_embedding_type="sinusoidal")}
IN_A_BLOCK = ["ln_1.xhat", "ln_1.rstd", "ln_1.normed", "attn.qkv", "attn.q", "attn.k", "attn.v",
              "attn.attention.0.scaled_q", "attn.attention.0.scores", "attn.attention.0.weights", "attn.attention.0.y",
              "attn.heads", "attn.proj.x", "attn.y", "m",
              "ln_2.xhat", "ln_2.rstd", "ln_2.normed", "mlp.h", "mlp.activation.sigmoid", "mlp.a", "mlp.y", "y"]
IN_THE_BODY = ["tokens", "places", "x", *(f"blocks.{i}.{name}" for i in range(2) for name in IN_A_BLOCK),
               "ln_f.xhat", "ln_f.rstd", "y"]
NAMES = [*IN_THE_BODY, "logits", "cross_entropy.exp", "cross_entropy.total", "loss"]


def a_pass(config: GPTConfig = TINY, T: int = 5) -> tuple:
    """A task, a batch, parameters"""
    rng = np.random.default_rng(0)
    task = LanguageModelling(config)
    batch = TokenBatch(*rng.integers(config.vocab_size, size=(2, 2, T)))
    return task, batch, rng.normal(0, 0.5, parameter_count(task.table))


def traced(config: GPTConfig = TINY) -> tuple:
    """A trace  ->  itself, the values by name, their gradients by name"""
    result = trace(*a_pass(config), keep=True)
    return result, *arrays(result)


def arrays(result: Trace) -> tuple[dict, dict]:
    return ({name: one.value.array for name, one in result.intermediates.items()},
            {name: one.gradient.array for name, one in result.intermediates.items() if one.gradient})


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.abs(a - b).max() <= 1e-13 * np.abs(b).max()


def test_every_intermediate_stands_in_the_order_in_which_it_is_made():
    assert list(trace(*a_pass()).intermediates) == NAMES


@pytest.mark.parametrize("heads, T", [(1, 5), (3, 1), (1, 1), (12, 5)])
def test_merged_heads_are_shown_even_where_merging_them_copies_nothing(heads, T):
    result = trace(*a_pass(dataclasses.replace(TINY, n_head=heads), T), keep=True)
    assert list(result.intermediates) == NAMES
    value, gradient = arrays(result)
    for array in (value, gradient):
        assert np.array_equal(rows(array["blocks.0.attn.proj.x"]), merged(array["blocks.0.attn.heads"]))


def test_what_is_shown_is_what_the_model_computes():
    result, values, _ = traced()
    task, batch, parameters = a_pass()
    loss, gradients = task.loss_and_gradients(batch, parameters)
    p = groups(parameters, task.table)
    hidden, cache = gpt(batch.ids, p, TINY)
    assert result.loss == loss == values["loss"] and np.array_equal(result.gradients, gradients)
    assert np.array_equal(values["y"], hidden)
    assert close(values["logits"], hidden @ language_model_head(p).T)
    for i, block in enumerate(cache.blocks):
        assert np.array_equal(values[f"blocks.{i}.attn.attention.0.weights"], block.attn.attention[0].weights)
        assert np.array_equal(values[f"blocks.{i}.attn.v"], block.attn.attention[0].v)
        assert np.array_equal(values[f"blocks.{i}.ln_2.xhat"], block.ln_2[0])
        assert np.array_equal(values[f"blocks.{i}.mlp.a"], block.mlp.down[0])


def test_every_line_can_be_found_in_the_source():
    for name, one in trace(*a_pass()).intermediates.items():
        assert inspect.isfunction(function_at(one.made_by))
        assert one.variable == name.rpartition(".")[2]
        assert one.variable in function_at(one.owner.made_by).__code__.co_varnames


def function_at(place: str):
    """layers/linear.py linear  ->  the function"""
    file, function = place.split()
    module = import_module("npgpt." + file.removesuffix(".py").replace("/", "."))
    return getattr(module if hasattr(module, function) else LanguageModelling, function)


@pytest.mark.parametrize("name, maker", [
    ("tokens", "layers/embedding.py embedding"), ("x", "model/gpt.py gpt"),
    ("blocks.1.attn.q", "layers/self_attention.py self_attention"), ("blocks.1.attn.y", "layers/linear.py linear"),
    ("blocks.0.attn.attention.0.weights", "layers/softmax.py softmax"), ("blocks.0.m", "model/block.py block"),
    ("blocks.0.mlp.a", "layers/activations.py gelu"), ("y", "layers/layer_norm.py layer_norm"),
    ("logits", "layers/embedding.py unembedding"), ("loss", "layers/cross_entropy.py cross_entropy")])
def test_the_innermost_function_that_made_it_is_named(name, maker):
    assert trace(*a_pass()).intermediates[name].made_by == maker


def rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1])


def merged(heads: np.ndarray) -> np.ndarray:
    """(B, H, T, D)  ->  (B T, C)"""
    return rows(heads.swapaxes(1, 2).reshape(*heads.shape[::2], -1))


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_gradients_of_intermediates_give_those_of_the_parameters(config):
    result, value, gradient = traced(config)
    p, g = (groups(vector, result.task.table) for vector in (result.parameters, result.gradients))
    for i, (p_block, g_block) in enumerate(zip(p.blocks, g.blocks)):
        at = f"blocks.{i}."
        for x, y, w, dw, db in (
                ("attn.proj.x", "attn.y", p_block.attn.w_proj, g_block.attn.w_proj, g_block.attn.b_proj),
                ("ln_2.normed", "mlp.h", p_block.mlp.w_up, g_block.mlp.w_up, g_block.mlp.b_up),
                ("mlp.a", "mlp.y", p_block.mlp.w_down, g_block.mlp.w_down, g_block.mlp.b_down)):
            dy = rows(gradient[at + y])
            assert close(rows(value[at + x]).T @ dy, dw) and close(dy.sum(axis=0), db)
            assert close(dy @ w.T, rows(gradient[at + x]))
        dqkv = [merged(gradient[f"{at}attn.{name}"]) for name in "qkv"]
        normed, dnormed = rows(value[at + "ln_1.normed"]), gradient[at + "ln_1.normed"]
        H = config.n_head
        assert close(np.array([normed.T @ dy for dy in dqkv]), separate_qkv(g_block.attn.w_qkv, H))
        assert close(np.array([dy.sum(axis=0) for dy in dqkv]), separate_qkv(g_block.attn.b_qkv, H))
        assert close(sum(dy @ w.T for dy, w in zip(dqkv, separate_qkv(p_block.attn.w_qkv, H))), rows(dnormed))
        for name in ("ln_1", "ln_2"):
            dnormed, gain = gradient[f"{at}{name}.normed"], getattr(p_block, name).gain
            assert close(rows(dnormed * value[f"{at}{name}.xhat"]).sum(axis=0), getattr(g_block, name).gain)
            assert close(dnormed * gain, gradient[f"{at}{name}.xhat"])
        assert np.array_equal(gradient[at + "m"], gradient[at + "attn.y"])      # m = x + branch
        assert np.array_equal(gradient[at + "y"], gradient[at + "mlp.y"])       # y = m + branch
    assert np.array_equal(gradient["tokens"], gradient["x"])
    if config.position_embedding_type == "learned":
        assert close(gradient["x"].sum(axis=0), gradient["places"]) and close(gradient["places"], g.wpe[:5])
    dhead = rows(gradient["logits"]).T @ rows(value["y"])
    if config.tie_word_embeddings:
        np.add.at(dhead, result.batch.ids, gradient["tokens"])
    assert close(dhead, language_model_head(g)) and gradient["loss"] == 1


def test_gradients_within_attention():
    _, value, gradient = traced()
    at = "blocks.1.attn."
    weights, dweights = value[at + "attention.0.weights"], gradient[at + "attention.0.weights"]
    assert close(dweights, gradient[at + "heads"] @ value[at + "v"].mT)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))
    assert close(gradient[at + "attention.0.scores"], dscores)
    assert close(gradient[at + "q"], dscores @ value[at + "k"] / 2)                      # D = 4
    assert close(gradient[at + "k"], dscores.mT @ value[at + "q"] / 2)
    assert close(gradient[at + "v"], weights.mT @ gradient[at + "heads"])


def test_every_tile_of_queries_is_shown(monkeypatch):
    whole, _, _ = traced()
    monkeypatch.setattr(causal_attention, "QUERY_TILE", 2)
    result, value, gradient = traced()
    shapes = [value[f"blocks.0.attn.attention.{i}.weights"].shape for i in range(3)]
    assert shapes == [(2, 3, 2, 2), (2, 3, 2, 4), (2, 3, 1, 5)]
    for name in ("blocks.0.attn.k", "blocks.1.attn.heads", "blocks.0.m", "x"):
        assert close(gradient[name], whole.intermediates[name].gradient.array)


def test_what_the_backward_pass_does_not_need_has_no_gradient():
    missing = [name for name, one in trace(*a_pass()).intermediates.items() if one.gradient is None]
    assert missing == [name for name in NAMES if name.rpartition(".")[2] in ("rstd", "sigmoid", "exp", "total")]


def test_statistics_are_those_of_the_arrays_and_arrays_are_kept_only_when_asked():
    kept, lean = trace(*a_pass(), keep=True), trace(*a_pass())
    for name, one in kept.intermediates.items():
        for summary in (one.value, one.gradient):
            if summary:
                a = summary.array
                assert summary.shape == a.shape
                assert summary[1:5] == pytest.approx((a.mean(), a.std(), a.min(), a.max()), rel=1e-12, abs=1e-17)
        assert lean.intermediates[name].value == one.value._replace(array=None)


@pytest.mark.parametrize("profiler", [None, lambda frame, event, argument: None], ids=["none", "one"])
def test_profilers_and_debuggers_are_left_as_they_were(profiler):
    task, _, parameters = a_pass()
    debugger, before = sys.gettrace(), sys.getprofile()
    sys.setprofile(profiler)
    try:
        with pytest.raises(ValueError):
            trace(task, TokenBatch(*np.zeros((2, 1, 9), int)), parameters)               # too long
        assert (sys.gettrace(), sys.getprofile()) == (debugger, profiler)
        trace(*a_pass())
        assert (sys.gettrace(), sys.getprofile()) == (debugger, profiler)
    finally:
        sys.setprofile(before)


def test_what_is_saved_opens_without_pickle_and_holds_everything(tmp_path):
    result, values, gradients = traced()
    named = partial(tensors_as_in_file, config=TINY)
    save_trace(tmp_path / "trace.npz", result, named)
    with np.load(tmp_path / "trace.npz", allow_pickle=False) as saved:
        assert '"n_head": 3' in str(saved["config"])
        assert np.array_equal(saved["ids"], result.batch.ids) and np.array_equal(saved["targets"], result.batch.targets)
        assert saved["loss"] == result.loss and np.array_equal(saved["logits"], values["logits"])
        for prefix, vector in (("parameter/", result.parameters), ("grad/", result.gradients)):
            for name, tensor in named(vector).items():
                assert np.array_equal(saved[prefix + name], tensor)
        assert all(np.array_equal(saved["value/" + name], value) for name, value in values.items())
        assert all(np.array_equal(saved["grad/" + name], gradient) for name, gradient in gradients.items())
        assert len(saved.files) == 5 + 2 * 28 + len(values) + len(gradients)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.npz"]


def test_another_task_is_traced_as_well():
    task, rng = LastStateClassification(TINY, K=4), np.random.default_rng(0)
    batch, parameters = task.training_batch(0, 3, rng), rng.normal(0, 0.5, parameter_count(task.table))
    result = trace(task, batch, parameters, keep=True)
    assert list(result.intermediates) == [*IN_THE_BODY, "logits", "cross_entropy.exp", "cross_entropy.total", "loss"]
    value, gradient = arrays(result)
    g = groups(result.gradients, task.table)
    assert np.array_equal(result.gradients, task.loss_and_gradients(batch, parameters)[1])
    assert close(value["y"][:, -1].T @ gradient["logits"], g.heads[0][0]) and close(gradient["logits"].sum(axis=0), g.heads[0][1])
    assert close(gradient["logits"] @ groups(parameters, task.table).heads[0][0].T, gradient["y"][:, -1])
    assert not gradient["y"][:, :-1].any()
    assert close(rows(gradient["y"] * value["ln_f.xhat"]).sum(axis=0), g.ln_f.gain) and close(gradient["places"], g.wpe)


def test_a_name_that_is_taken_gets_a_prime():
    owner = Call(None, "tasks/task.py loss_and_gradients", {})
    assert list(by_name([Intermediate("", variable="x", owner=owner) for _ in range(3)])) == ["x", "x'", "x''"]
