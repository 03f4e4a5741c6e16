"""Exercise: what it asks for, its hints, and the mistakes that its check recognises."""
import inspect
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npgpt.checking.catalogue import CASES, Case
from npgpt.checking.contract import call, call_backward
from npgpt.model.parameters import named_leaves


class Mistake(NamedTuple):
    """A mistake that is easily made: npgpt's own backward pass with one change, and what to say about it."""
    right: str                                  # occurs once in the source of the backward function
    wrong: str
    advice: str


class Exercise(NamedTuple):
    """A layer whose backward pass is to be written."""
    forward: Callable
    backward: Callable                          # npgpt's own
    task: str
    hints: tuple[str, ...]                      # each says more than the one before
    mistakes: tuple[Mistake, ...]
    given: tuple[Callable, ...] = ()            # helpers that forward does not use and backward needs

    @property
    def name(self) -> str:
        return self.forward.__name__

    @property
    def cases(self) -> list[Case]:
        """The settings in which `npgpt gradcheck` checks the layer."""
        return [case for case in CASES if case.forward is self.forward]

    @property
    def differentiable(self) -> list[str]:
        """The arguments that backward returns gradients of."""
        drawn = zip(inspect.signature(self.forward).parameters, self.cases[0].draw(np.random.default_rng(0)))
        return [name for name, value in drawn if any(leaf.dtype.kind == "f" for _, leaf in named_leaves(value))]


def gradients(case: Case, forward: Callable, backward: Callable) -> list[np.ndarray]:
    """The gradients that a pair of functions computes. Arguments and upstream gradient depend on the case alone."""
    rng = np.random.default_rng(0)
    y, cache = call(forward, case.draw(rng), case.settings)
    return call_backward(backward, np.asarray(rng.standard_normal(y.shape)), cache)


def changed(function: Callable, right: str, wrong: str) -> Callable:
    """A function from the source of another one, with a part replaced that it has once. Raises ValueError if not."""
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(right) != 1:
        raise ValueError(f"{function.__name__} has {right!r} {source.count(right)} times")
    namespace = dict(function.__globals__)
    exec(source.replace(right, wrong), namespace)
    return namespace[function.__name__]
