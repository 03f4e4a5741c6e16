"""Ctrl-C and SIGTERM: during training, the first one asks for a stop after the step; the second one stops at once."""
import signal

SIGNALS = signal.SIGINT, signal.SIGTERM


class Interrupt:
    """While the context lasts, a signal raises KeyboardInterrupt; while it is patient, the first one only sets `came`."""

    def __init__(self) -> None:
        self.patient, self.came = False, 0

    def __enter__(self) -> "Interrupt":
        self.before = [signal.signal(number, self.handle) for number in SIGNALS]
        return self

    def handle(self, number: int, frame: object) -> None:
        first, self.came = not self.came, self.came or number
        if not (first and self.patient):
            raise KeyboardInterrupt

    @property
    def status(self) -> int:
        """The exit status of the interrupted process: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.came or signal.SIGINT)

    def __exit__(self, *exception: object) -> None:
        for number, before in zip(SIGNALS, self.before):
            signal.signal(number, before)
