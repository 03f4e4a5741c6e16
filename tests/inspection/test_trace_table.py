"""The table of a trace"""
import numpy as np
import pytest

from npgpt.inspection.intermediates import summarise
from npgpt.inspection.trace import trace
from npgpt.inspection.trace_table import dimensions, gradient_lines, intermediate_lines, number, numbers, squared_norm
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch


def a_trace(scale=1.0):
    task = LanguageModelling(preset("tiny"))
    ids = np.arange(10).reshape(2, 5)
    return trace(task, TokenBatch(ids, ids + 1), initial_parameters(task.table) * np.float32(scale))


def test_a_line_has_name_shape_statistics_and_the_function_that_made_it():
    titles, line = list(intermediate_lines(a_trace()))[1:3]
    assert titles.split() == ["intermediate", "shape", *2 * ["mean", "std", "min", "max"], "made", "by"]
    one = a_trace().intermediates["tokens"]
    assert line.split() == ["tokens", "2x5x12", *numbers(one.value).split(), *numbers(one.gradient).split(),
                            "layers/embedding.py", "embedding"]


def test_blocks_have_a_heading_each():
    lines = list(intermediate_lines(a_trace()))
    assert [line for line in lines if line.startswith("blocks")] == ["blocks.0", "blocks.1"]
    assert sum(line.startswith("  attn.q ") for line in lines) == 2


def test_statistics_are_in_three_digits():
    assert numbers(summarise(np.array([1.0, 2, 6]))).split() == ["3", "2.16", "1", "6"]
    assert [number(value) for value in (0.0, -0.00012345, 1.5e-9, float("nan"))] == ["0", "-0.000123", "1.5e-09", "nan"]


@pytest.mark.parametrize("shape, text", [((2, 5, 12), "2x5x12"), ((4,), "4"), ((), "()")])
def test_shapes_are_short(shape, text):
    assert dimensions(summarise(np.ones(shape))) == text


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_neither_vanish_nor_overflow_in_float32(size):
    assert squared_norm(np.full(2, size, np.float32)) == pytest.approx(2 * size**2)
    assert summarise(np.array([size, -size], np.float32)).deviation == pytest.approx(size)


def test_a_damaged_model_has_a_table_too():
    lines = list(gradient_lines(a_trace(np.nan)))
    assert len(lines) == 30 and "nan" in lines[1] and "0.00 %" in lines[1]
