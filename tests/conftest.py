"""How many examples hypothesis draws, by NPGPT_TESTS: quick, default, thorough, or mutants, which does not shrink them.

They are the same in every run, unless --hypothesis-seed is given: then they are drawn from that seed.
"""
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

SHARED = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=5, **SHARED)
settings.register_profile("default", max_examples=25, **SHARED)
settings.register_profile("thorough", max_examples=250, **SHARED)
settings.register_profile("mutants", max_examples=25, phases=[Phase.explicit, Phase.generate], **SHARED)
settings.load_profile(os.environ.get("NPGPT_TESTS", "default"))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-seed") is not None:
        settings.register_profile("seeded", settings(), derandomize=False, database=None)
        settings.load_profile("seeded")
