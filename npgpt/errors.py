"""InputError: an error that the user can correct."""


class InputError(ValueError):
    """What was given cannot be used. The message says what is wrong and what would be right."""
