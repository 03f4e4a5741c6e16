"""The observer's own parts; what it notes of a whole pass is in test_trace.py"""
import sys

import numpy as np

from npgpt.inspection.observer import Observer, names_added_up, walk
from npgpt.layers.softmax import softmax, softmax_backward
from npgpt.model.block import block_backward
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups, initial_parameters
from npgpt.model.presets import preset


def test_every_cache_is_found_with_the_path_that_leads_to_it():
    config = preset("tiny")
    table = language_model_table(config)
    _, cache = gpt(np.zeros((1, 3), int), groups(initial_parameters(table), table), config)
    found = {path: part for path, part in walk(cache)}
    assert found[""] is cache and found["blocks.1"] is cache.blocks[1] and found["ln_f"] is cache.ln_f
    assert found["blocks.0.attn.attention.0.softmax"] is cache.blocks[0].attn.attention[0].softmax


def test_the_gradients_that_a_function_adds_up_are_read_in_its_source():
    assert names_added_up(block_backward.__code__) == {"dm", "dx"}
    assert names_added_up(softmax_backward.__code__) == set()
    assert names_added_up(compile("dx = 1\ndx += 1", "nowhere", "exec")) == set()       # no source


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
