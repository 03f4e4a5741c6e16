"""Pages: data stays data, and text stays text."""
import json

import pytest
from hypothesis import given, strategies as st

from npgpt.inspection.page import PAGES, embed, fill, in_bytes


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_embedded_json_keeps_its_value_and_cannot_leave_its_script(value):
    assert json.loads(embed(value)) == value
    assert not set(embed(value)) & set("<>&\u2028\u2029") and embed(value).isascii()


def test_a_name_is_text_and_not_markup():
    page = fill("attention.html", title="</title><script>x", summary="a & $data <b>", data="{}").decode()
    assert "<title>&lt;/title&gt;&lt;script&gt;x</title>" in page and "a &amp; $data &lt;b&gt;" in page


@pytest.mark.parametrize("path", sorted(PAGES.iterdir()), ids=lambda path: path.name)
def test_pages_load_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert "http" not in text.replace("http-equiv", "")
    if path.suffix == ".html":
        assert "default-src 'none'" in text if path.name == "head.html" else text.startswith("$head<style>")
    assert not any(word in text for word in ("src=", "@import", "url(", "fetch(", "innerHTML", "eval("))


@pytest.mark.parametrize("size, words", [(10, "1 kB"), (45_052, "45 kB"), (1_740_000, "1.7 MB")])
def test_sizes_have_units(size, words):
    assert in_bytes(size) == words
