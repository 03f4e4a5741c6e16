"""What a terminal is shown of text from outside."""
import io

import pytest
from hypothesis import given, strategies as st

from npgpt.terminal import harmless


class Terminal(io.StringIO):
    def isatty(self):
        return True


@given(st.text())
def test_files_and_pipes_get_every_text_unchanged(text):
    assert harmless(text, io.StringIO()) == text


@given(st.text())
def test_a_terminal_gets_no_control_character_but_tabs_and_line_breaks(text):
    shown = harmless(text, Terminal())
    assert all(c in "\t\n" or not (c < " " or "\x7f" <= c <= "\x9f") for c in shown)
    assert harmless(shown, Terminal()) == shown


@pytest.mark.parametrize("text, shown", [
    ("é 模型 🤗\u200d\xa0\u2028\n\t", "é 模型 🤗\u200d\xa0\u2028\n\t"),
    ("\x1b[31m", r"\x1b[31m"), ("\x1b]0;title\x07", r"\x1b]0;title\x07"), ("a\rb\x08", r"a\rb\x08"),
    ("\x9b31m\x7f", r"\u009b31m\x7f")])
def test_control_characters_become_visible(text, shown):
    assert harmless(text, Terminal()) == shown
