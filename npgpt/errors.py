"""The error that a user can mend."""


class InputError(ValueError):
    """What was given cannot be used. The message says what is wrong and what would be right."""
