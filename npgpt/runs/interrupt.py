"""Ctrl-C and SIGTERM: during training, the first one asks for a stop after the step; the second one stops at once."""
import signal
import threading

SIGNALS = signal.SIGINT, signal.SIGTERM


class Interrupt:
    """While the context lasts, a signal raises KeyboardInterrupt, unless it is the first one and `deferring` is true.
    In a thread that is not the main one, signals stay as they are: Python gives them to the main thread alone.

    received: the number of the first signal, or 0.
    """

    def __init__(self) -> None:
        self.deferring, self.received = False, 0

    def __enter__(self) -> "Interrupt":
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.before = [signal.signal(number, self.handle) for number in SIGNALS if in_main_thread]
        return self

    def handle(self, number: int, frame: object) -> None:
        first, self.received = not self.received, self.received or number
        if not (first and self.deferring):
            raise KeyboardInterrupt

    @property
    def status(self) -> int:
        """The exit status of the interrupted process: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.received or signal.SIGINT)

    def __exit__(self, *exception: object) -> None:
        for number, before in zip(SIGNALS, self.before):
            signal.signal(number, before)
