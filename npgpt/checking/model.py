"""Check a whole GPT: the gradient of its loss by every parameter."""
import math
from collections.abc import Callable, Sequence

import numpy as np

from npgpt.checking.derivatives import METHODS, Function, numerical_gradient
from npgpt.checking.report import Comparison, Report
from npgpt.layers.cross_entropy import IGNORED, cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, loss_and_gradients
from npgpt.model.parameters import PREFIX, is_gain, named_views, parameter_count

COORDINATES = 5000           # models with more parameters are checked along random directions
DIRECTIONS = 3               # for each tensor


def check_model(config: GPTConfig, batch_size: int = 2, length: int | None = None, seed: int = 0,
                methods: Sequence[str] = tuple(METHODS), name: str = "gpt",
                gradients: Callable = loss_and_gradients) -> Report:
    """Compare gradients(ids, targets, parameters, config, rng) -> loss, flat gradient with the derivative of the loss.

    Small models are checked coordinate by coordinate, large ones along random directions in each
    tensor. The batch repeats tokens and ignores a target; dropout, where the configuration has it,
    draws the same masks in every call. length is that of the sequences, by default n_positions.
    """
    rng = np.random.default_rng(seed)
    parameters = unit_scale_parameters(config, rng)
    ids = rng.integers(config.vocab_size, size=(batch_size, length or config.n_positions))
    targets = rng.integers(config.vocab_size, size=ids.shape)
    if targets.size > 1:
        ids.flat[-1] = ids.flat[0]
        targets.flat[1] = IGNORED

    def loss(values: np.ndarray) -> complex | float:
        return cross_entropy(gpt(ids, values, config, np.random.default_rng(seed))[0], targets)[0]

    _, analytic = gradients(ids, targets, parameters, config, np.random.default_rng(seed))
    comparisons = []
    for tensor, view in named_views(analytic, config).items():
        def objective(value: np.ndarray) -> complex | float:
            changed = parameters.astype(value.dtype)
            named_views(changed, config)[tensor][...] = value
            return loss(changed)

        x = named_views(parameters, config)[tensor]
        argument = tensor.removeprefix(PREFIX)
        if parameter_count(config) <= COORDINATES:
            numeric = {method: numerical_gradient(objective, x, method) for method in methods}
            scale = max(float(np.abs(g).max()) for g in (view, *numeric.values()))
            comparisons.append(Comparison(name, argument, view.shape, view, numeric, scale))
        else:
            comparisons.append(along_directions(name, argument, view, objective, x, methods, rng))
    return Report(comparisons)


def along_directions(name: str, argument: str, gradient: np.ndarray, objective: Function, x: np.ndarray,
                     methods: Sequence[str], rng: np.random.Generator) -> Comparison:
    """Compare <gradient, v> with the derivative along v, for random unit vectors v.

    A wrong entry shows in every direction, diluted by 1 / sqrt(entries): so is the scale.
    """
    directions = [v / np.linalg.norm(v) for v in rng.standard_normal((DIRECTIONS, *x.shape))]
    analytic = np.array([(gradient * v).sum() for v in directions])
    numeric = {method: np.array([METHODS[method](objective, x, v) for v in directions]) for method in methods}
    scale = float(np.linalg.norm(gradient)) / math.sqrt(gradient.size)
    return Comparison(name, argument, x.shape, analytic, numeric, scale)


def unit_scale_parameters(config: GPTConfig, rng: np.random.Generator) -> np.ndarray:
    """Parameters at which nothing hides: matrices that keep the size of what goes through them, gains
    about 1 but not 1, biases not 0. At the usual initialisation, errors in attention vanish in the rounding.
    """
    parameters = np.empty(parameter_count(config))
    for name, view in named_views(parameters, config).items():
        view[...] = rng.standard_normal(view.shape)
        if is_gain(name):
            view *= 0.3
            view += 1
        elif name.endswith("weight") and ".h." in name:
            view /= math.sqrt(view.shape[0])
    return parameters
