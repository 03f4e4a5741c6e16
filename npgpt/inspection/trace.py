"""Trace: one forward and backward pass of a task, with every array that it makes."""
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.files import temporary_folder
from npgpt.inspection.intermediates import Intermediate
from npgpt.inspection.observer import Observer
from npgpt.tasks.task import Batch, Task


class Trace(NamedTuple):
    task: Task
    batch: Batch
    parameters: np.ndarray
    loss: float
    gradients: np.ndarray
    intermediates: dict[str, Intermediate]

    def __repr__(self) -> str:
        return (f"Trace(loss {self.loss:.6g}; {len(self.parameters):,} parameters in {self.parameters.dtype} and their "
                f"gradients; {len(self.intermediates)} intermediates: {', '.join([*self.intermediates][:3])}, ...)")


def trace(task: Task, batch: Batch, parameters: np.ndarray, keep: bool = False) -> Trace:
    """Run and observe task.loss_and_gradients, without dropout. keep: keep all intermediates, not only their statistics."""
    gradients = np.empty_like(parameters)
    observer = Observer((parameters, gradients, *batch), [task.loss_and_gradients.__code__.co_filename], keep)
    with observer.watching():
        loss, _ = task.loss_and_gradients(batch, parameters, out=gradients)
    return Trace(task, batch, parameters, loss, gradients, by_name(observer.intermediates))


def by_name(intermediates: list[Intermediate]) -> dict[str, Intermediate]:
    """Named as in the source, after the path of the layer that has the variable: blocks.0.attn.q.

    If a name is used twice, it is the path of the layer that returned the array, as in blocks.0.ln_1.normed; and if that
    is not enough, a prime is added: x, x'.
    """
    uses = Counter((one.owner.path, one.variable) for one in intermediates)
    named = {}
    for one in intermediates:
        layer = one.result_of if one.result_of and uses[one.owner.path, one.variable] > 1 else one.owner
        name = f"{layer.path}.{one.variable}" if layer.path else one.variable
        while name in named:
            name += "'"
        named[name] = one
    return named


def save_trace(path: Path, trace: Trace, named: Callable[[np.ndarray], dict[str, np.ndarray]]) -> None:
    """Write every array to an .npz file. named: divides a flat vector into the named arrays to save."""
    arrays = {"config": json.dumps(dataclasses.asdict(trace.task.config)), **trace.batch._asdict(), "loss": trace.loss}
    arrays |= {"parameter/" + name: array for name, array in named(trace.parameters).items()}
    arrays |= {"grad/" + name: array for name, array in named(trace.gradients).items()}
    for name, one in trace.intermediates.items():
        arrays["value/" + name] = one.value.array
        if one.gradient:
            arrays["grad/" + name] = one.gradient.array
    if "logits" in trace.intermediates:
        arrays["logits"] = trace.intermediates["logits"].value.array
    with temporary_folder(path) as staging:
        with open(staging / path.name, "wb") as file:
            np.savez(file, **arrays)
        os.replace(staging / path.name, path)
