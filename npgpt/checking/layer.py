"""Check a layer pair: its gradients against numerical ones, and the contract of layers/__init__.py."""
import inspect
from collections.abc import Sequence

import numpy as np

from npgpt.checking.contract import Backward, Forward, call, call_backward, contract_breaches, is_differentiable
from npgpt.checking.derivatives import numerical_gradient
from npgpt.checking.report import Comparison, Report, largest
from npgpt.model.parameters import map_leaves, named_leaves


def check_layer(forward: Forward, backward: Backward, *arguments, methods: Sequence[str] = ("complex", "central"),
                seed: int = 0, zero: Sequence[str] = (), name: str | None = None, **settings) -> Report:
    """Compare backward with the derivative of forward, for every argument that is an array of numbers.

    forward(*arguments, **settings) -> y, cache;  backward(dy, cache) -> one gradient for each such
    argument, in order. An argument may be a group of arrays, nested in tuples or lists; its gradient is then
    such a group. Arguments are converted to float64. dy is random, because a dy of ones hides errors that
    cancel in a sum. A random generator is copied for each call.

    zero: names of arguments whose gradient is known to be zero; any other zero gradient is reported as wrong.
    Nothing is raised for a wrong gradient: see Report.require.
    """
    layer = name or forward.__name__
    rng = np.random.default_rng(seed)
    names = [leaf for argument, parameter in zip(arguments, inspect.signature(forward).parameters)
             for leaf, _ in named_leaves(argument, parameter)]
    forward, arguments = flattened(forward, arguments)
    arguments = [a.astype(np.float64) if is_differentiable(a) else a for a in arguments]
    breaches = contract_breaches(layer, forward, backward, arguments, settings, rng)
    y, cache = call(forward, arguments, settings)
    dy = np.asarray(rng.standard_normal(y.shape))
    gradients = call_backward(backward, dy, cache)
    inputs = [i for i, a in enumerate(arguments) if is_differentiable(a)]
    if [g.shape for g in gradients] != [arguments[i].shape for i in inputs]:
        return Report([], breaches)

    comparisons = []
    for i, analytic in zip(inputs, gradients):
        def objective(value: np.ndarray) -> complex | float:
            changed = [a.astype(value.dtype) if is_differentiable(a) else a for a in arguments]
            changed[i] = value
            return (call(forward, changed, settings)[0] * dy).sum()

        numeric = {method: numerical_gradient(objective, arguments[i], method) for method in methods}
        zero_gradient = names[i] in zero
        scale = largest(gradients if zero_gradient else [analytic, *numeric.values()])
        comparisons.append(Comparison(layer, names[i], analytic.shape, analytic, numeric, scale, zero_gradient))
    return Report(comparisons, breaches)


def flattened(forward: Forward, arguments: Sequence) -> tuple[Forward, list]:
    """The same function of single arrays instead of groups of arrays, and these arrays."""
    def forward_of_leaves(*leaves, **settings):
        remaining = iter(leaves)
        return forward(*map_leaves(lambda _: next(remaining), arguments), **settings)

    return forward_of_leaves, [leaf for _, leaf in named_leaves(arguments)]
