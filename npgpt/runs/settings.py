"""Settings of a run: those with which it was started or last resumed. Every checkpoint holds them."""
from dataclasses import dataclass

from npgpt.errors import InputError
from npgpt.model.config import is_integer, require
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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threads", "eval_every", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) is not None or name != "checkpoint_every":
                require(self, name, lambda value: is_integer(value) and 1 <= value <= LARGEST_COUNT, "1 or more")
        require(self, "threads", lambda value: value <= MOST_THREADS, f"at most {MOST_THREADS:,}")
        require(self, "data", lambda value: value is None or isinstance(value, list) and value != [], "a list, or None")
        for path in self.data or ():
            if not isinstance(path, str) or path == "" or "\0" in path:
                raise InputError(f"data must be paths, not {path!r}")
        require(self, "sha256", lambda value: isinstance(value, str), "a digest")
