"""Check a layer pair: its gradients against numerical ones, and the contract of layers/__init__.py."""
import inspect
import warnings
from collections.abc import Sequence

import numpy as np

from npgpt.checking.contract import Backward, Forward, call, call_backward, cast, contract_breaches, is_differentiable
from npgpt.checking.derivatives import FLOAT32_TOLERANCE, TOLERANCES, Function, central_step, numerical_gradient
from npgpt.checking.report import CentralOnly, Comparison, Report, largest
from npgpt.model.parameters import map_leaves, named_leaves

NOT_ANALYTIC = CentralOnly("not analytic", "forward is not analytic, so the complex step does not give its derivative")
FLOAT32 = CentralOnly("float32", "forward computes in float32 only")


def check_layer(forward: Forward, backward: Backward, *arguments, methods: Sequence[str] | None = None,
                tolerance: float | None = None, seed: int = 0, zero: Sequence[str] = (), name: str | None = None,
                **settings) -> Report:
    """Compare backward with the derivative of forward, for every argument that is an array of numbers.

    forward(*arguments, **settings) -> y, cache;  backward(dy, cache) -> one gradient for each such
    argument, in order. An argument may be a group of arrays, nested in tuples or lists; its gradient is then
    such a group. Arguments are converted to float64. dy is random, because a dy of ones hides errors that
    cancel in a sum. A random generator is copied for each call.

    methods: "complex" (the complex step), "central" (central differences) or both; the gradient must agree with
    each of them. By default both are used wherever that is possible. A forward that is not analytic (it uses np.abs
    or np.linalg.norm), or that fails on complex numbers (math.erf), is judged by central differences alone; one that
    computes in float32 only is judged by central differences in float32. The report says so.
    tolerance: the largest error allowed, relative to the largest entry of the gradient. By default 1e-12 for the
    complex step; for central differences 1e-7, and what the rounding of forward's results adds to that; in float32 2e-3.

    zero: names of arguments whose gradient is known to be zero; any other zero gradient is reported as wrong.
    Nothing is raised for a wrong gradient: see Report.require.
    """
    layer = name or forward.__name__
    rng = np.random.default_rng(seed)
    names = [leaf for argument, parameter in zip(arguments, inspect.signature(forward).parameters)
             for leaf, _ in named_leaves(argument, parameter)]
    forward, arguments = flattened(forward, arguments)
    single = "complex" not in (methods or ()) and needs_float32(forward, arguments, settings)
    dtype = np.float32 if single else np.float64
    arguments = cast(arguments, dtype)
    breaches = contract_breaches(layer, forward, backward, arguments, settings, rng,
                                 dtypes=[np.float32] if single else [np.float32, np.float64])
    y, cache = call(forward, arguments, settings)
    dy = np.asarray(rng.standard_normal(y.shape)).astype(dtype)
    gradients = call_backward(backward, dy, cache)
    inputs = [i for i, a in enumerate(arguments) if is_differentiable(a)]
    if [g.shape for g in gradients] != [arguments[i].shape for i in inputs]:
        return Report([], breaches)
    if single:
        methods = ("central",)
        tolerance = FLOAT32_TOLERANCE if tolerance is None else tolerance

    weights = dy.astype(np.float64)
    rounding = 4 * central_step(dtype) ** 2 * float(np.linalg.norm(y * weights))     # eps / h, for independent errors
    comparisons = []
    for i, analytic in zip(inputs, gradients):
        def objective(value: np.ndarray) -> complex | float:
            changed = cast(arguments, value.dtype)
            changed[i] = value
            return (call(forward, changed, settings)[0] * weights).sum()

        if methods:
            numeric = {method: numerical_gradient(objective, arguments[i], method) for method in methods}
            central_only = FLOAT32 if single else None
        else:
            numeric, central_only = numerical_gradients(objective, arguments[i], rounding)
        zero_gradient = names[i] in zero
        scale = largest(gradients if zero_gradient else [analytic, *numeric.values()])
        comparisons.append(Comparison(layer, names[i], analytic.shape, analytic, numeric, scale, zero_gradient,
                                      tolerance, central_only, rounding))
    return Report(comparisons, breaches)


def needs_float32(forward: Forward, arguments: Sequence, settings: dict) -> bool:
    """Whether forward computes in float32 only: it returns float32 for float64, or fails on float64."""
    try:
        y, _ = call(forward, cast(arguments, np.float64), settings)
    except Exception:
        y, _ = call(forward, cast(arguments, np.float32), settings)        # fails as well if dtype is not the reason
    return y.dtype == np.float32


def numerical_gradients(f: Function, x: np.ndarray, rounding: float) -> tuple[dict[str, np.ndarray], CentralOnly | None]:
    """The numerical gradient by both methods, or by central differences alone and why.

    The complex step needs an analytic f. Where f is not analytic, the two methods disagree by more than central
    differences can err, whatever backward does. rounding: what they may err by because of f's rounding.
    """
    central = numerical_gradient(f, x, "central")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)       # the imaginary part is discarded
            step = numerical_gradient(f, x, "complex")
    except Exception as error:
        reason = f"forward fails on complex numbers, {type(error).__name__}: {error}"
        return {"central": central}, CentralOnly("real only", reason)
    if np.abs(step - central).max(initial=0) <= 10 * (TOLERANCES["central"] * largest([step, central]) + rounding):
        return {"complex": step, "central": central}, None
    return {"central": central}, NOT_ANALYTIC


def flattened(forward: Forward, arguments: Sequence) -> tuple[Forward, list]:
    """The same function of single arrays instead of groups of arrays, and these arrays."""
    def forward_of_leaves(*leaves, **settings):
        remaining = iter(leaves)
        return forward(*map_leaves(lambda _: next(remaining), arguments), **settings)

    return forward_of_leaves, [leaf for _, leaf in named_leaves(arguments)]
