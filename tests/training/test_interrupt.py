"""The first Ctrl-C asks, the second insists."""
import signal

import pytest

from npgpt.training.interrupt import FirstInterrupt


@pytest.fixture(autouse=True)
def outer_handler():
    """What SIGINT did before, whatever the way in which these tests were started."""
    def handler(number, frame):
        raise AssertionError("the interrupt got outside")
    before = signal.signal(signal.SIGINT, handler)
    yield handler
    signal.signal(signal.SIGINT, before)


def test_nothing_came():
    with FirstInterrupt() as interrupt:
        assert not interrupt.came


def test_the_first_is_noted_and_work_goes_on():
    with FirstInterrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.came


def test_the_second_interrupts():
    with FirstInterrupt():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("interrupts", [0, 1])
def test_afterwards_the_former_handler_is_back(outer_handler, interrupts):
    with FirstInterrupt():
        for _ in range(interrupts):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is outer_handler


def test_the_former_handler_is_back_after_an_error(outer_handler):
    with pytest.raises(ZeroDivisionError), FirstInterrupt():
        1 / 0
    assert signal.getsignal(signal.SIGINT) is outer_handler
