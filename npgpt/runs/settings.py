"""Settings of a run: those with which it was started or last resumed. Every checkpoint holds them."""
from dataclasses import dataclass

from npgpt.errors import InputError
from npgpt.model.config import is_integer, is_number, require
from npgpt.training.settings import LARGEST_COUNT, TrainingSettings

MOST_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class RunSettings(TrainingSettings):
    """Raises InputError, naming the setting and the rule."""
    threads: int
    eval_every: int                             # steps between validations
    checkpoint_every: int | None = None         # steps between checkpoints; None: a few minutes
    keep_checkpoints: int = 2                   # how many of the newest
    data: list[str] | None                      # absolute paths; None: the documentation that comes with Python
    sha256: str                                 # of the data
    objective: str = "causal"                   # one of OBJECTIVES

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threads", "eval_every", "keep_checkpoints"):
            require(self, name, is_positive, "1 or more")
        require(self, "checkpoint_every", lambda value: value is None or is_positive(value), "1 or more")
        require(self, "threads", lambda value: value <= MOST_THREADS, f"at most {MOST_THREADS:,}")
        require_paths("data", self.data)
        require(self, "sha256", lambda value: isinstance(value, str), "a digest")
        require(self, "objective", lambda value: OBJECTIVES.get(value) is type(self), f"one of {', '.join(OBJECTIVES)}")

    @property
    def publishes_best(self) -> bool:
        """Whether the run's folder has the model with the best validation so far, and not the newest one."""
        return False


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings(RunSettings):
    """The settings of `npgpt finetune`."""
    objective: str = "finetune"
    epochs: int                                 # of which the number of steps follows
    validation: list[str] | None                # absolute paths; None: a tenth of the data
    lm_weight: float                            # of the auxiliary language-model loss
    evenly: bool = False                        # with several data sets: batches of each are as many

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "epochs", is_positive, "1 or more")
        require(self, "lm_weight", lambda value: is_number(value) and value >= 0, "0 or more")
        require(self, "evenly", lambda value: isinstance(value, bool), "true or false")
        require_paths("validation", self.validation)

    @property
    def publishes_best(self) -> bool:
        return True


OBJECTIVES = {"causal": RunSettings, "masked": RunSettings, "translate": RunSettings, "finetune": FineTuningSettings}


def is_positive(count: object) -> bool:
    return is_integer(count) and 1 <= count <= LARGEST_COUNT


def settings_of(stored: dict) -> RunSettings:
    """The settings that a checkpoint holds. Raises InputError or TypeError if they are not right."""
    kind = stored.get("objective", "causal")
    return (OBJECTIVES.get(kind, RunSettings) if isinstance(kind, str) else RunSettings)(**stored)


def require_paths(name: str, paths: object) -> None:
    """Raise InputError unless these are the names of files, or None."""
    if paths is not None and (not isinstance(paths, list) or not paths):
        raise InputError(f"{name} must be a list, or None, not {paths!r}")
    for path in paths or ():
        if not isinstance(path, str) or path == "" or "\0" in path:
            raise InputError(f"{name} must be paths, not {path!r}")
