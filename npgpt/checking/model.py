"""Check a whole model: the gradient of its task's loss with respect to every parameter."""
import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from npgpt.checking.derivatives import METHODS, Function, numerical_gradient
from npgpt.checking.report import Comparison, Report, largest
from npgpt.model.parameters import Group, named_leaves, named_views, parameter_count
from npgpt.tasks.task import Batch, Task

COORDINATES = 5000           # models with more parameters are checked along random directions
DIRECTIONS = 3               # for each parameter
STACKS = ("encoder.", "memory.", "decoder.")      # many post-LN blocks: with large biases, all positions would become alike


def check_model(task: Task, batch: Batch, seed: int = 0, methods: Sequence[str] = tuple(METHODS), name: str = "model",
                loss_and_gradients: Callable | None = None, zero: Collection[str] = (),
                coordinates: int = COORDINATES) -> Report:
    """Compare a task's loss_and_gradients with the derivatives of its loss on a batch.

    Parameters are drawn from the seed. In models with at most `coordinates` parameters every entry is checked, in others
    each parameter along random directions. Dropout has the same masks in every call. loss_and_gradients: by default the
    task's own. zero: names of parameters on which the loss does not depend; errors of their gradients are relative to the
    largest gradient of all.
    """
    rng = np.random.default_rng(seed)
    parameters = unit_scale_parameters(task.table, rng)
    loss_and_gradients = loss_and_gradients or task.loss_and_gradients
    _, gradients = loss_and_gradients(batch, parameters, np.random.default_rng(seed))
    comparisons = []
    for argument, gradient in named_views(gradients, task.table).items():
        def loss(value: np.ndarray) -> complex | float:
            changed = parameters.astype(value.dtype)
            named_views(changed, task.table)[argument][...] = value
            return task.loss(batch, changed, np.random.default_rng(seed))

        x = named_views(parameters, task.table)[argument]
        known = argument in zero
        if len(parameters) <= coordinates:
            numeric = {method: numerical_gradient(loss, x, method) for method in methods}
            scale = largest([gradients]) if known else largest([gradient, *numeric.values()])
            comparisons.append(Comparison(name, argument, gradient.shape, gradient, numeric, scale, known))
        else:
            comparison = along_directions(name, argument, gradient, loss, x, methods, rng)
            comparisons.append(comparison._replace(scale=largest([gradients]), zero=True) if known else comparison)
    return Report(comparisons, breaches=[])


def along_directions(name: str, argument: str, gradient: np.ndarray, loss: Function, x: np.ndarray,
                     methods: Sequence[str], rng: np.random.Generator) -> Comparison:
    """Compare the dot product of gradient and v with the derivative along v, for random unit vectors v.

    An error in one entry changes each by about 1 / sqrt(gradient.size) of it, so the scale has the same factor.
    """
    directions = [v / np.linalg.norm(v) for v in rng.standard_normal((DIRECTIONS, *x.shape))]
    analytic = np.array([(gradient * v).sum() for v in directions])
    numeric = {method: np.array([METHODS[method](loss, x, v) for v in directions]) for method in methods}
    scale = float(np.linalg.norm(gradient)) / math.sqrt(gradient.size)
    return Comparison(name, argument, x.shape, analytic, numeric, scale)


def unit_scale_parameters(table: Group, rng: np.random.Generator) -> np.ndarray:
    """Parameters that show errors: matrices that keep the size of what they multiply, gains near 1, biases not 0.
    With the usual initialisation, errors in attention would be smaller than rounding errors.
    """
    parameters = np.empty(parameter_count(table))
    for (name, row), view in zip(named_leaves(table), named_views(parameters, table).values()):
        view[...] = rng.standard_normal(view.shape)
        if row.mean:
            view *= 0.3
            view += row.mean
        elif name.startswith(STACKS) or row.decays and name.startswith("blocks."):
            view /= math.sqrt(view.shape[0])
    return parameters
