"""TrainingSettings: every setting is checked, and the one that is wrong is named."""
import dataclasses
import math
import re

import pytest

from npgpt.errors import InputError
from npgpt.training.settings import TrainingSettings

WRONG = {"steps": [0, -1, 1.0, 10**9 + 1, 10**400], "batch_size": [0, 2**70], "accumulate": [0, 2**70], "warmup": [-1, 10**400],
         "seed": [-1, 1.5], "skip_bad_steps": [-1, 2**70], "schedule": [1, []],
         "learning_rate": [-1e-3, math.nan, math.inf], "min_learning_rate": [-1e-3, math.nan, math.inf],
         "weight_decay": [-0.1, math.nan, math.inf], "clip": [-1.0, math.nan, math.inf],
         "beta1": [-0.1, 1.0, math.nan], "beta2": [-0.1, 1.0, math.nan]}


def test_every_setting_is_checked():
    assert WRONG.keys() == {field.name for field in dataclasses.fields(TrainingSettings)}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_is_named_with_the_rule(name, value):
    with pytest.raises(InputError, match=f"^{name} must be .*, not {re.escape(str(value))}$"):
        TrainingSettings(**{name: value})


def test_settings_at_their_limits_are_accepted():
    TrainingSettings(steps=1, batch_size=1, accumulate=1, learning_rate=0, min_learning_rate=0, warmup=0, weight_decay=0,
                     beta1=0, beta2=0, clip=0, seed=0)
    TrainingSettings(steps=10**9, warmup=10**9, seed=2**200)
