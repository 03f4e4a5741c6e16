"""The answer to a backward pass that the learner wrote: what is wrong with it, and what mistake that may be."""
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from npgpt.checking.catalogue import Case
from npgpt.checking.contract import call
from npgpt.checking.layer import check_layer
from npgpt.checking.report import Comparison, Report, close
from npgpt.exercises.exercise import Exercise, changed, gradients
from npgpt.exercises.learner import Unfinished, definitions, errors_in, function_in
from npgpt.model.parameters import named_leaves

ALIKE = 1e-9             # relative difference up to which two gradients are those of the same mistake
# What to do about a breach of the contract, by a part of its sentence.
CONTRACT = {
    "changes dy": "An in-place operator (+=, *= and so on) acts on dy. The caller may need it: make a new array first.",
    "changes an argument": "An in-place operator acts on an argument of forward in the cache: make a new array first.",
    "changes its cache": "An in-place operator acts on an array of the cache: make a new array first.",
    "shares memory": "What is returned is dy itself, an argument, or a view of one; a change of it would change both: "
                     "return a copy.",
    "not linear": "Every gradient is linear in the upstream gradient: twice dy gives twice dx. A term is multiplied by dy "
                  "twice, or not at all.",
    "comes out": "The results have another dtype than the input: an array was made without dtype=, or by np.float64.",
}


def answer(exercise: Exercise, path: Path) -> tuple[bool, list[str]]:
    """Check the learner's file  ->  whether it is right, and the lines to print."""
    try:
        names = definitions(path)
        forward, backward = (function_in(names, name) for name in (exercise.name, f"{exercise.name}_backward"))
        for case in exercise.cases:
            with errors_in(path):
                report = checked(exercise, case, forward, backward)
                if not report.right:
                    return False, [*repr(report).splitlines(), "", *advice(exercise, case, forward, backward, report)]
    except Unfinished as unfinished:
        return False, str(unfinished).splitlines()
    return True, []


def checked(exercise: Exercise, case: Case, forward: Callable, backward: Callable) -> Report:
    """Raises Unfinished if forward is not npgpt's, or if backward returns gradients of another number or other shapes."""
    rng = np.random.default_rng(0)
    arguments = case.draw(rng)
    theirs, _ = call(case.forward, arguments, case.settings)
    result = call(forward, arguments, case.settings)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Unfinished(f"{exercise.name} must return two things: its result and the cache")
    if np.shape(result[0]) != theirs.shape or not close(result[0], theirs, ALIKE):
        raise Unfinished(f"{exercise.name} itself gives other values than npgpt's: only the backward pass is to be written")
    inputs = [leaf for leaf in leaves(exercise, arguments) if leaf[1].dtype.kind == "f"]
    returned = backward(np.asarray(rng.standard_normal(theirs.shape)), result[1])
    if problem := problem_of_shapes(inputs, [gradient for _, gradient in named_leaves(returned)]):
        raise Unfinished(f"{exercise.name}_backward {problem}")
    return check_layer(forward, backward, *arguments, methods=("complex",), name=case.name, **case.settings)


def leaves(exercise: Exercise, arguments: list) -> list[tuple[str, np.ndarray]]:
    names = inspect.signature(exercise.forward).parameters
    return [leaf for name, argument in zip(names, arguments) for leaf in named_leaves(argument, name)]


def problem_of_shapes(inputs: list[tuple[str, np.ndarray]], returned: list) -> str:
    """What is wrong with the number or the shapes of the gradients; empty if nothing is."""
    expected = ", ".join(f"d{name} {value.shape}" for name, value in inputs)
    if not returned:
        return f"returns nothing; expected: {expected}"
    if len(returned) != len(inputs):
        return f"returns {len(returned)} gradient{'s' * (len(returned) > 1)}; expected: {expected}"
    for (name, value), gradient in zip(inputs, returned):
        if not isinstance(gradient, (np.ndarray, np.generic)):
            return f"returns d{name} as {type(gradient).__name__}; an array of shape {value.shape} was expected"
        if gradient.shape != value.shape:
            return (f"returns d{name} with shape {gradient.shape}; {name} has shape {value.shape}"
                    f"{cause(gradient.shape, value.shape)}")
    return ""


def cause(returned: tuple[int, ...], expected: tuple[int, ...]) -> str:
    extra = len(returned) - len(expected)
    if extra > 0 and returned == (1,) * extra + expected:
        return ": its first axes, of size 1, are too many. Was the cache, a tuple, used as an array?"
    if extra > 0 and returned[extra:] == expected:
        return (": a sum over the leading axes is missing. What is used in every row "
                "gets a gradient from every row, and they add up")
    if len(returned) == len(expected) and sorted(returned) == sorted(expected):
        return ": it is transposed"
    return ""


def advice(exercise: Exercise, case: Case, forward: Callable, backward: Callable, report: Report) -> Iterator[str]:
    """A sentence for each breach of the contract, and one for each wrong gradient."""
    for breach in report.breaches:
        yield from (text for part, text in CONTRACT.items() if part in breach)
    wrong = [i for i, comparison in enumerate(report.comparisons) if not comparison.right]
    if not wrong:
        return
    mine = gradients(case, forward, backward)
    said = []
    for mistake in exercise.mistakes:
        if not wrong:
            break
        theirs = gradients(case, case.forward, changed(exercise.backward, mistake.right, mistake.wrong))
        same = [i for i in wrong if close(mine[i], theirs[i], ALIKE)]
        if same:
            said.append(f"The gradient of {named(report, same)}: {mistake.advice}")
            wrong = [i for i in wrong if i not in same]
    said += [f"The gradient of {named(report, [i])}: {general(report.comparisons[i])}" for i in wrong[:1]]
    yield from said


def named(report: Report, which: list[int]) -> str:
    names = [report.comparisons[i].argument for i in which]
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def general(comparison: Comparison) -> str:
    """What can be said of a wrong gradient without knowing the mistake."""
    numeric, analytic = comparison.numeric["complex"], comparison.analytic
    if not np.isfinite(analytic).all():
        return "it has entries that are NaN or infinite."
    if comparison.vanishes:
        return "it is zero everywhere."
    off = np.abs(numeric - analytic) > ALIKE * np.abs(numeric).max()
    if not numeric[off].any():
        return "it is right except where it must be 0: on these entries the result does not depend."
    factor = (numeric * analytic).sum() / (analytic * analytic).sum()
    if close(factor * analytic, numeric, ALIKE):
        if abs(factor + 1) < ALIKE:
            return "its sign is wrong."
        return (f"all of it must be multiplied by {factor:.4g}. A factor of forward's is missing or is there twice, or a "
                "mean is in the place of a sum, or a sum in the place of a mean.")
    missing = numeric - analytic
    if analytic.ndim and close(missing, np.broadcast_to(missing[..., :1], missing.shape), ALIKE):
        return ("what is missing is the same number for all entries of a row: a term such as the sum or the mean of "
                "something over the last axis.")
    return ("a term is missing or wrong, or two are mixed up. Which arrays of forward depend on this argument? Each way "
            "from it to the result is one term, and the terms add up.")
