"""Ctrl-C and SIGTERM while training: the first asks for a stop after the step, the second stops at once."""
import signal

SIGNALS = signal.SIGINT, signal.SIGTERM


class FirstInterrupt:
    """While the context lasts, the first of the signals only sets `came`, to its number; a second raises
    KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.came = 0

    def __enter__(self) -> "FirstInterrupt":
        self.before = [signal.signal(number, self.note) for number in SIGNALS]
        return self

    def note(self, number: int, frame: object) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = number

    @property
    def status(self) -> int:
        """What a process that was stopped so exits with: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.came or signal.SIGINT)

    def __exit__(self, *exception: object) -> None:
        for number, before in zip(SIGNALS, self.before):
            signal.signal(number, before)
