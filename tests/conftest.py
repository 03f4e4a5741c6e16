"""How many examples hypothesis draws, and what is computed in the background.

NPGPT_TESTS is quick, default, thorough, or mutants, which does not shrink the examples. They are the same in every run,
unless --hypothesis-seed is given: then they are drawn from that seed.
"""
import contextlib
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

SHARED = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=5, **SHARED)
settings.register_profile("default", max_examples=25, **SHARED)
settings.register_profile("thorough", max_examples=250, **SHARED)
settings.register_profile("mutants", max_examples=25, phases=[Phase.explicit, Phase.generate], **SHARED)
settings.load_profile(os.environ.get("NPGPT_TESTS", "default"))

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)      # or each of the hundred processes that tests start would compile npgpt


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-seed") is not None:
        settings.register_profile("seeded", settings(), derandomize=False, database=None)
        settings.load_profile("seeded")


def asks_for_results(item: pytest.Item) -> bool:
    return "results" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is computed in the background is asked for last."""
    items.sort(key=asks_for_results)


@pytest.fixture(scope="session", autouse=True)
def background(request, tmp_path_factory):
    """Begins what the tests that were selected need of their modules' function `in_background`: a context manager, whose
    work is done by processes on the cores that the other tests leave free. In threads, it would meet what tests patch.
    """
    items: dict = {}
    for item in request.session.items:
        if asks_for_results(item):
            items.setdefault(item.module, []).append(item)
    with contextlib.ExitStack() as stack:
        yield {module: stack.enter_context(module.in_background(tmp_path_factory, own)) for module, own in items.items()}


@pytest.fixture
def results(request, background):
    """What the module's in_background gives."""
    return background[request.module]
