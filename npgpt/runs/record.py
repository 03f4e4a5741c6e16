"""training.json of a checkpoint: the state of training without its vectors, and the run's settings."""
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.json_files import read_json
from npgpt.model.config import is_integer, is_number
from npgpt.runs.settings import RunSettings, settings_of
from npgpt.training.evaluation import Validation
from npgpt.training.trainer import TrainingState

RECORD = "training.json"
FORMAT = 2                   # in format 1, AdamW's moments lacked the factors 1 - beta
SECONDS_LIMIT = 2**31        # of training; beyond it, the duration of a step would be lost in rounding


class Best(NamedTuple):
    """The best validation so far."""
    step: int
    validation_loss: float
    score: float | None = None                  # as in Validation

    @property
    def validation(self) -> Validation:
        return Validation(self.validation_loss, self.score)


def record_of(state: TrainingState, settings: RunSettings, best: Best | None, replaced: Mapping[str, str]) -> dict:
    """The content of training.json. JSON has no NaN and no infinity: norms that are not finite are null."""
    return {"format": FORMAT, "step": state.step, "updates": state.optimiser.t, "skipped": state.skipped,
            "seconds": state.seconds, "norms": [norm if math.isfinite(norm) else None for norm in state.norms],
            "generators": {"batches": state.batch_rng.bit_generator.state,
                           "dropout": state.dropout_rng.bit_generator.state},
            "best": best and best._asdict(), "replaced": dict(replaced), "settings": vars(settings)}


def restore(state: TrainingState, record: dict) -> None:
    """Set a state, except for its vectors, to what record_of has written down."""
    state.optimiser.t = record["updates"]
    state.batch_rng.bit_generator.state = record["generators"]["batches"]
    state.dropout_rng.bit_generator.state = record["generators"]["dropout"]
    state.step, state.skipped, state.seconds = record["step"], record["skipped"], record["seconds"]
    state.norms = [math.nan if norm is None else norm for norm in record["norms"]]


def read_record(folder: Path) -> tuple[dict, RunSettings]:
    """training.json of a checkpoint, and the settings in it. Raises InputError."""
    record = checked(read_json(folder / RECORD), folder)
    try:
        return record, settings_of(record["settings"])
    except (TypeError, InputError) as error:
        raise InputError(f"{folder / RECORD} does not hold the settings of a run: {error}") from None


def checked(record: dict, folder: Path) -> dict:
    """Check types and ranges, except for the settings, which RunSettings checks. Raises InputError."""
    if record.get("format") == 1:
        raise InputError(f"{folder} was written by an earlier version of npgpt: only that version can resume it, but a new "
                         "run can start from its model")
    rules = {
        "format": lambda value: value == FORMAT,
        "step": is_count, "updates": is_count, "skipped": is_count,
        "seconds": lambda value: is_number(value) and 0 <= value < SECONDS_LIMIT,
        "norms": lambda value: isinstance(value, list) and all(norm is None or is_number(norm) for norm in value),
        "generators": lambda value: (isinstance(value, dict) and is_generator(value.get("batches"))
                                     and is_generator(value.get("dropout"))),
        "best": is_best,
        "replaced": lambda value: isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values()),
        "settings": lambda value: isinstance(value, dict)}
    wrong = [name for name, holds in rules.items() if not holds(record.get(name))]
    if wrong or record["updates"] + record["skipped"] != record["step"]:
        raise InputError(f"{folder / RECORD} is not a record of training: wrong {', '.join(wrong or ['step'])}")
    return record


def is_best(value: object) -> bool:
    if not isinstance(value, dict):
        return value is None
    value = {"score": None, **value}                           # runs of earlier versions have none
    return (value.keys() == set(Best._fields) and is_integer(value["step"]) and is_number(value["validation_loss"])
            and (value["score"] is None or is_number(value["score"])))


def is_count(value: object) -> bool:
    return is_integer(value) and 0 <= value < 2**53


def is_generator(state: object) -> bool:
    """Whether a state is one that NumPy's default generator accepts unchanged."""
    generator = np.random.default_rng(0).bit_generator
    try:
        generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError):
        return False
    return generator.state == state
