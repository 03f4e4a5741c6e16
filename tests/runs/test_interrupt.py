"""During training, the first Ctrl-C stops after the step, the second at once."""
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from npgpt.runs.interrupt import SIGNALS, Interrupt


@pytest.fixture(autouse=True)
def outer_handler():
    """A handler of the caller's, which must not be called while the context lasts."""
    def handler(number, frame):
        raise AssertionError("the interrupt got outside")
    before = [signal.signal(number, handler) for number in SIGNALS]
    yield handler
    for number, former in zip(SIGNALS, before):
        signal.signal(number, former)


def test_without_a_signal_nothing_is_noted():
    with Interrupt() as interrupt:
        assert not interrupt.received


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_noted_and_work_continues(number, status):
    with Interrupt() as interrupt:
        interrupt.deferring = True
        signal.raise_signal(number)
        assert interrupt.received == number and interrupt.status == status


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_interrupts(first, second):
    """The status is the first one's."""
    with Interrupt() as interrupt:
        interrupt.deferring = True
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
    assert interrupt.status == 128 + first


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("patient_before", [False, True])
def test_it_interrupts_at_once_while_it_is_not_patient(number, patient_before):
    with Interrupt() as interrupt:
        interrupt.deferring = patient_before
        interrupt.deferring = False
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert interrupt.status == 128 + number


@pytest.mark.parametrize("interrupts", [0, 1])
def test_the_former_handlers_are_restored(outer_handler, interrupts):
    with Interrupt() as interrupt:
        interrupt.deferring = True
        for _ in range(interrupts):
            signal.raise_signal(signal.SIGINT)
    assert all(signal.getsignal(number) is outer_handler for number in SIGNALS)


def test_the_former_handler_is_restored_after_an_error(outer_handler):
    with pytest.raises(ZeroDivisionError), Interrupt():
        1 / 0
    assert signal.getsignal(signal.SIGINT) is outer_handler


def test_in_another_thread_signals_stay_as_they_are(outer_handler):
    def work():
        with Interrupt() as interrupt:
            return interrupt.received, [signal.getsignal(number) for number in SIGNALS]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == (0, [outer_handler] * len(SIGNALS))
    assert all(signal.getsignal(number) is outer_handler for number in SIGNALS)
