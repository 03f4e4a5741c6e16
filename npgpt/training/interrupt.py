"""Ctrl-C while training: the first asks for a stop after the step, the second stops at once."""
import signal


class FirstInterrupt:
    """While the context lasts, the first SIGINT only sets `came`; a second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> "FirstInterrupt":
        self.before = signal.signal(signal.SIGINT, self.note)
        return self

    def note(self, number: int, frame: object) -> None:
        self.came = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self.before)
