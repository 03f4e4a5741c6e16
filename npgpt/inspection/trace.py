"""Trace: one forward and backward pass, with everything that it makes."""
import dataclasses
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.files import temporary_folder
from npgpt.inspection.intermediates import Intermediate
from npgpt.inspection.observer import Observer
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.parameters import named_views


class Trace(NamedTuple):
    ids: np.ndarray
    targets: np.ndarray
    parameters: np.ndarray
    config: GPTConfig
    loss: float
    gradients: np.ndarray
    intermediates: dict[str, Intermediate]


def trace(ids: np.ndarray, targets: np.ndarray, parameters: np.ndarray, config: GPTConfig, keep: bool = False) -> Trace:
    """Run model.gpt.loss_and_gradients itself, and watch. Without dropout.

    keep: hold the arrays of all intermediates, and not only their statistics. Raises what the pass raises.
    """
    observer = Observer(keep)
    with observer.watching():
        loss, gradients = loss_and_gradients(ids, targets, parameters, config)
    return Trace(ids, targets, parameters, config, loss, gradients, by_name(observer.intermediates))


def by_name(intermediates: list[Intermediate]) -> dict[str, Intermediate]:
    """Named as in the source, after the path of the cache it belongs to: blocks.0.attn.qkv.

    Where a function uses a name twice, the cache of the layer that made it tells which: blocks.0.ln_1.normed.
    """
    uses = [(one.owner, one.variable) for one in intermediates]
    named = {}
    for one, use in zip(intermediates, uses):
        place = one.result_of if one.result_of and uses.count(use) > 1 else one.owner
        named[f"{place.path}.{one.variable}" if place.path else one.variable] = one
    return named


def save_trace(path: Path, trace: Trace) -> None:
    """Write everything under its name, as an .npz file that numpy.load opens. Raises OSError, naming the file."""
    arrays = {"config": np.array(json.dumps(dataclasses.asdict(trace.config))), "ids": trace.ids, "targets": trace.targets,
              "loss": np.array(trace.loss), "logits": trace.intermediates["logits"].value.array}
    for name, view in named_views(trace.parameters, trace.config).items():
        arrays["parameter/" + name] = view
    for name, view in named_views(trace.gradients, trace.config).items():
        arrays["grad/" + name] = view
    for name, intermediate in trace.intermediates.items():
        arrays["value/" + name] = intermediate.value.array
        if intermediate.gradient is not None:
            arrays["grad/" + name] = intermediate.gradient.array
    with temporary_folder(path) as staging:
        with open(staging / path.name, "wb") as file:
            np.savez(file, **arrays)
        os.replace(staging / path.name, path)
