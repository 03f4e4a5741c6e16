"""Text from outside, such as a model's output or the name of a file, as a terminal may show it."""
import re
from typing import TextIO

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")     # all control characters but tabs and line breaks


def harmless(text: str, stream: TextIO) -> str:
    """The text to write to a stream. If that is a terminal, control characters become escapes such as \\x1b: they could
    move the cursor, hide text, or make the terminal send commands. Files and pipes get the text unchanged.
    """
    return CONTROL.sub(lambda found: escape(found[0]), text) if stream.isatty() else text


def escape(character: str) -> str:
    """\\n, \\x1b, \\u0080: from 0x80 on, escapes of two digits are bytes, and those of characters have four or eight."""
    if "\x80" <= character <= "\xff":
        return f"\\u{ord(character):04x}"
    return character.encode("unicode_escape").decode()
