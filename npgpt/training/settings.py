"""Settings: how to train, and defaults that suit a model."""
from dataclasses import dataclass

from npgpt.model.config import GPTConfig, is_integer, is_number, one_of, require
from npgpt.training.schedule import SCHEDULES

LARGEST_COUNT = 10**9        # NumPy's sizes are limited, Python's integers are not
RATE_TIMES_WIDTH = 0.384     # wide models need smaller steps (Yang et al. 2022, table 8); at 384 channels nanoGPT's 1e-3
PRETRAINED = 0.1             # times the learning rate, for a pretrained model
WARMUP = 0.1                 # times the number of steps


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Raises InputError, naming the setting and the rule."""
    steps: int = 1600
    batch_size: int = 12                        # examples in a batch
    accumulate: int = 1                         # batches in an update
    learning_rate: float = 3e-3                 # the largest, after the warm-up; suits 128 channels
    min_learning_rate: float = 0.0
    warmup: int = 160                           # steps
    schedule: str = "linear"                    # one of SCHEDULES: how the learning rate falls
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0                           # largest norm of a gradient; 0 means no limit
    seed: int = 0
    skip_bad_steps: int = 0                     # how many steps whose loss or norm is NaN or infinite may be skipped

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("accumulate", 1), ("warmup", 0), ("seed", 0),
                            ("skip_bad_steps", 0)):
            require(self, name, lambda value: is_integer(value) and value >= least, f"{least} or more")
            require(self, name, lambda value: name == "seed" or value <= LARGEST_COUNT, f"at most {LARGEST_COUNT:,}")
        for name in ("learning_rate", "min_learning_rate", "weight_decay", "clip"):
            require(self, name, lambda value: is_number(value) and value >= 0, "0 or more")
        require(self, "schedule", lambda value: value in tuple(SCHEDULES), one_of(SCHEDULES))
        for name in ("beta1", "beta2"):
            require(self, name, lambda value: is_number(value) and 0 <= value < 1, "in [0, 1)")


def default_settings(config: GPTConfig, pretrained: bool = False, **given) -> TrainingSettings:
    """Settings of which some are given. The default learning rate suits the model, the default warm-up the steps."""
    rate = RATE_TIMES_WIDTH * (PRETRAINED if pretrained else 1) / config.n_embd
    warmup = int(WARMUP * max(given.get("steps", TrainingSettings.steps), 0))
    return TrainingSettings(**{"learning_rate": rate, "warmup": warmup, **given})
