"""Draws: random arguments for the layers that are checked, each by a function of a random generator.

All dimensions differ from each other, so that a transposed array cannot pass.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from npgpt.checking.model import unit_scale_parameters
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.parameters import Group, groups

B, T, S, H, C, I, V = 4, 5, 8, 2, 6, 7, 9
Draw = Callable[[np.random.Generator], Any]


def normal(*shape: int) -> Draw:
    return lambda rng: rng.standard_normal(shape)


def gain(size: int) -> Draw:
    return lambda rng: 1 + 0.3 * rng.standard_normal(size)


def ids(below: int, *shape: int) -> Draw:
    """Ids of which at least one occurs twice."""
    def draw(rng: np.random.Generator) -> np.ndarray:
        drawn = rng.integers(below, size=shape)
        drawn.flat[-1] = drawn.flat[0]
        return drawn
    return draw


def some_ignored(rng: np.random.Generator) -> np.ndarray:
    """Targets (B, T), of which two rows have one that does not count."""
    targets = rng.integers(V, size=(B, T))
    targets[0, 1] = targets[1, 0] = IGNORED
    return targets


def parameters(table: Group) -> Draw:
    """The groups of a table."""
    return lambda rng: groups(unit_scale_parameters(table, rng), table)
