"""Pictures: SVG that stands alone"""
import xml.etree.ElementTree as tree

import pytest

from npgpt.inspection.picture import picture, text

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_is_complete_in_itself_in_light_and_in_dark():
    root = tree.fromstring(picture("a < b", 30, 20, [text(1, 2, "x")]))
    assert root.get("viewBox") == "0 0 30 20" and root.get("width") == "30"
    assert root.find(SVG + "title").text == "a < b" and root.find(SVG + "text").text == "x"
    style = root.find(SVG + "style").text
    assert "prefers-color-scheme: dark" in style and "url(" not in style and "@import" not in style
    assert tree.fromstring(picture("", 30, 20, [], shown=60)).get("width") == "60"


@pytest.mark.parametrize("content, shown", [("</text><script>", None), ("\"'&", None), ("\x1b\0\n", "���"), ("\udcff", "�")])
def test_any_text_is_harmless(content, shown):
    root = tree.fromstring(picture(content, 30, 20, [text(1, 2, content)]))
    assert root.find(SVG + "text").text == root.find(SVG + "title").text == (shown or content) and len(root) == 4
