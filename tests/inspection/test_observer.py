"""The observer's own parts; what it notes of a whole pass is in test_trace.py"""
import sys

import numpy as np

from npgpt.inspection.observer import Observer, walk
from npgpt.layers.softmax import softmax
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import block_table, groups, initial_parameters, map_leaves
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward
from npgpt.model.presets import preset


def test_every_cache_is_found_with_the_path_that_leads_to_it():
    config = preset("tiny")
    table = language_model_table(config)
    _, cache = gpt(np.zeros((1, 3), int), groups(initial_parameters(table), table), config)
    found = {path: part for path, part in walk(cache)}
    assert found[""] is cache and found["blocks.1"] is cache.blocks[1] and found["ln_f"] is cache.ln_f
    assert found["blocks.0.attn.attention.0.softmax"] is cache.blocks[0].attn.attention[0].softmax


def test_gradients_of_arrays_made_in_the_line_that_calls_a_layer_and_of_those_used_twice():
    config, rng = preset("tiny"), np.random.default_rng(0)
    p = map_leaves(lambda row: rng.normal(size=row.shape), block_table(12, 48, 1.0, 1.0))
    x, dy = rng.normal(size=(2, 2, 5, 12))
    observer = Observer(keep=True)
    with observer.watching():
        y, cache = post_ln_block(x, p, config)
        dx, dp = post_ln_block_backward(dy, cache)
    found = {f"{one.owner.path}.{one.variable}": one for one in observer.intermediates}
    assert {".n", ".y", "ln_1.x", "ln_2.x", "attn.y", "mlp.y", "ln_1.xhat", "mlp.h"} <= found.keys()
    sums = {name: found[name + ".x"] for name in ("ln_1", "ln_2")}
    assert np.array_equal(sums["ln_1"].value.array, x + found["attn.y"].value.array)
    assert np.array_equal(sums["ln_2"].gradient.array, found["mlp.y"].gradient.array)      # as both terms of a sum
    assert np.array_equal(sums["ln_1"].gradient.array, found["attn.y"].gradient.array)
    dn = found[".n"].gradient.array
    assert np.allclose((dn * found["ln_1.xhat"].value.array).sum(axis=(0, 1)), dp.ln_1.gain, rtol=1e-13)
    assert np.allclose(found["mlp.h"].gradient.array.sum(axis=(0, 1)), dp.mlp.b_up, rtol=1e-13)


def test_breakpoints_in_layers_still_stop():
    lines = []

    def debugger(frame, event, argument):
        if frame.f_code is softmax.__code__:
            lines.append(frame.f_lineno)
        return debugger

    before = sys.gettrace()
    sys.settrace(debugger)
    try:
        with Observer().watching():
            softmax(np.zeros((2, 3)))
    finally:
        sys.settrace(before)
    assert len(set(lines)) > 5


def test_functions_outside_the_layers_and_the_model_are_not_noted():
    observer = Observer()
    with observer.watching():
        np.linalg.norm(np.ones(3))
    assert observer.intermediates == []
