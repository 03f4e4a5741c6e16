"""The trace of a pass, held against what the pass computes and against identities that gradients obey."""
import dataclasses
import inspect
import sys
from importlib import import_module

import numpy as np
import pytest

from npgpt.layers import causal_attention
from npgpt.inspection.trace import save_trace, trace
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, loss_and_gradients
from npgpt.model.parameters import named_views, parameter_count
from npgpt.model.presets import preset

TINY = preset("tiny")
VARIANTS = {"tied": TINY,
            "untied": dataclasses.replace(TINY, tie_word_embeddings=False, n_inner=7),
            "relu": dataclasses.replace(TINY, activation_function="relu"),
            "sinusoidal": dataclasses.replace(TINY, position_embedding_type="sinusoidal")}
IN_A_BLOCK = ["ln_1.xhat", "ln_1.r", "ln_1.normed", "attn.qkv", "attn.q", "attn.k", "attn.v",
              "attn.attention.0.scaled_q", "attn.attention.0.scores", "attn.attention.0.weights", "attn.attention.0.y", "attn.heads", "attn.proj.x", "attn.y", "m",
              "ln_2.xhat", "ln_2.r", "ln_2.normed", "mlp.h", "mlp.activation.sigmoid", "mlp.a", "mlp.y", "y"]
NAMES = ["tokens", "positions", "x", *(f"blocks.{i}.{name}" for i in range(2) for name in IN_A_BLOCK), "ln_f.xhat", "ln_f.r",
         "ln_f.x", "logits", "cross_entropy.exp", "cross_entropy.total", "loss"]


def a_pass(config: GPTConfig = TINY, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    ids = rng.integers(config.vocab_size, size=(2, 5))
    return ids, rng.integers(config.vocab_size, size=(2, 5)), rng.normal(0, 0.5, parameter_count(config)), config


def traced(config: GPTConfig = TINY) -> tuple:
    """A trace  ->  itself, the values by name, their gradients by name"""
    result = trace(*a_pass(config), keep=True)
    values = {name: one.value.array for name, one in result.intermediates.items()}
    gradients = {name: one.gradient.array for name, one in result.intermediates.items() if one.gradient}
    return result, values, gradients


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.abs(a - b).max() <= 1e-13 * np.abs(b).max()


def test_every_intermediate_stands_in_the_order_in_which_it_is_made():
    assert list(trace(*a_pass()).intermediates) == NAMES


def test_what_is_shown_is_what_the_model_computes():
    result, values, _ = traced()
    loss, gradients = loss_and_gradients(*a_pass())
    logits, cache = gpt(result.ids, result.parameters, TINY)
    assert result.loss == loss == values["loss"] and np.array_equal(result.gradients, gradients)
    assert np.array_equal(values["logits"], logits)
    for i, block in enumerate(cache.blocks):
        assert np.array_equal(values[f"blocks.{i}.attn.attention.0.weights"], block.attn.attention[0].weights)
        assert np.array_equal(values[f"blocks.{i}.attn.v"], block.attn.attention[0].v)
        assert np.array_equal(values[f"blocks.{i}.ln_2.xhat"], block.ln_2[0])
        assert np.array_equal(values[f"blocks.{i}.mlp.a"], block.mlp.down[0])


def test_every_line_can_be_found_in_the_source():
    for name, one in trace(*a_pass()).intermediates.items():
        file, function = one.made_by.split()
        module = import_module("npgpt." + file.removesuffix(".py").replace("/", "."))
        assert inspect.isfunction(getattr(module, function))
        owner_file, owner = one.owner.made_by.split()
        code = getattr(import_module("npgpt." + owner_file.removesuffix(".py").replace("/", ".")), owner).__code__
        assert one.variable == name.rpartition(".")[2] and one.variable in code.co_varnames


@pytest.mark.parametrize("name, maker", [
    ("tokens", "layers/embedding.py embedding"), ("x", "model/gpt.py gpt"), ("blocks.1.attn.qkv", "layers/linear.py linear"),
    ("blocks.1.attn.y", "layers/linear.py linear"), ("blocks.0.attn.attention.0.weights", "layers/softmax.py softmax"),
    ("blocks.0.m", "model/block.py block"), ("blocks.0.mlp.a", "layers/activations.py gelu"),
    ("ln_f.x", "layers/layer_norm.py layer_norm"), ("logits", "layers/embedding.py unembedding"),
    ("loss", "layers/cross_entropy.py cross_entropy")])
def test_the_innermost_function_that_made_it_is_named(name, maker):
    assert trace(*a_pass()).intermediates[name].made_by == maker


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_gradients_of_intermediates_give_those_of_the_parameters(config):
    result, value, gradient = traced(config)
    g = named_views(result.gradients, config)
    p = named_views(result.parameters, config)
    rows = lambda array: array.reshape(-1, array.shape[-1])
    head = "transformer.wte.weight" if config.tie_word_embeddings else "lm_head.weight"
    for i in range(config.n_layer):
        at, prefix = f"blocks.{i}.", f"transformer.h.{i}."
        for weight, x, y in (("attn.c_attn", "ln_1.normed", "attn.qkv"), ("attn.c_proj", "attn.proj.x", "attn.y"),
                             ("mlp.c_fc", "ln_2.normed", "mlp.h"), ("mlp.c_proj", "mlp.a", "mlp.y")):
            dy = rows(gradient[at + y])
            assert close(rows(value[at + x]).T @ dy, g[f"{prefix}{weight}.weight"])
            assert close(dy.sum(axis=0), g[f"{prefix}{weight}.bias"])
            assert close(dy @ p[f"{prefix}{weight}.weight"].T, rows(gradient[at + x]))
        for norm in ("ln_1", "ln_2"):
            dnormed = gradient[f"{at}{norm}.normed"]
            assert close(rows(dnormed * value[f"{at}{norm}.xhat"]).sum(axis=0), g[f"{prefix}{norm}.weight"])
            assert close(dnormed * p[f"{prefix}{norm}.weight"], gradient[f"{at}{norm}.xhat"])
        assert np.array_equal(gradient[at + "m"], gradient[at + "attn.y"])      # m = x + branch
        assert np.array_equal(gradient[at + "y"], gradient[at + "mlp.y"])       # y = m + branch
    assert np.array_equal(gradient["tokens"], gradient["x"])
    assert close(gradient["x"].sum(axis=0), gradient.get("positions", gradient["x"].sum(axis=0)))
    if config.position_embedding_type == "learned":
        assert close(gradient["positions"], g["transformer.wpe.weight"][:5])
    dhead = rows(gradient["logits"]).T @ rows(value["ln_f.x"])
    if config.tie_word_embeddings:
        np.add.at(dhead, result.ids, gradient["tokens"])
    assert close(dhead, g[head]) and gradient["loss"] == 1


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


def test_every_block_of_queries_is_shown(monkeypatch):
    whole, _, _ = traced()
    monkeypatch.setattr(causal_attention, "BLOCK", 2)
    result, value, gradient = traced()
    shapes = [value[f"blocks.0.attn.attention.{i}.weights"].shape for i in range(3)]
    assert shapes == [(2, 3, 2, 2), (2, 3, 2, 4), (2, 3, 1, 5)]
    for name in ("blocks.0.attn.k", "blocks.1.attn.heads", "blocks.0.m", "x"):
        assert close(gradient[name], whole.intermediates[name].gradient.array)


def test_what_the_way_back_does_without_has_no_gradient():
    missing = [name for name, one in trace(*a_pass()).intermediates.items() if one.gradient is None]
    assert missing == [name for name in NAMES if name.rpartition(".")[2] in ("r", "sigmoid", "exp", "total")]


def test_statistics_are_those_of_the_arrays_and_arrays_are_kept_only_when_asked():
    kept, lean = trace(*a_pass(), keep=True), trace(*a_pass())
    for name, one in kept.intermediates.items():
        for summary in (one.value, one.gradient):
            if summary:
                a = summary.array
                assert summary.shape == a.shape
                assert summary[1:5] == pytest.approx((a.mean(), a.std(), a.min(), a.max()), rel=1e-12, abs=1e-17)
        assert lean.intermediates[name].value == one.value._replace(array=None)


def test_the_observer_leaves_nothing_behind_and_debuggers_alone():
    before = sys.gettrace(), sys.getprofile()
    with pytest.raises(ValueError):
        trace(np.zeros((1, 9), int), np.zeros((1, 9), int), *a_pass()[2:])              # too long
    trace(*a_pass())
    assert (sys.gettrace(), sys.getprofile()) == before


def test_what_is_saved_opens_without_pickle_and_holds_everything(tmp_path):
    result, values, gradients = traced()
    save_trace(tmp_path / "trace.npz", result)
    with np.load(tmp_path / "trace.npz", allow_pickle=False) as saved:
        assert '"n_head": 3' in str(saved["config"])
        assert np.array_equal(saved["ids"], result.ids) and np.array_equal(saved["targets"], result.targets)
        assert saved["loss"] == result.loss and np.array_equal(saved["logits"], values["logits"])
        for prefix, vector in (("parameter/", result.parameters), ("grad/", result.gradients)):
            for name, view in named_views(vector, TINY).items():
                assert np.array_equal(saved[prefix + name], view)
        assert all(np.array_equal(saved["value/" + name], value) for name, value in values.items())
        assert all(np.array_equal(saved["grad/" + name], gradient) for name, gradient in gradients.items())
        assert len(saved.files) == 5 + 2 * 28 + len(values) + len(gradients)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.npz"]
