"""Page: one HTML file that needs no other files, made from a template and data."""
import html
import json
from pathlib import Path
from string import Template

PAGES = Path(__file__).parent / "pages"
# Characters that could end a script, begin a comment or a tag, or end a line in old JavaScript: they are escaped.
UNSAFE = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def fill(name: str, title: str, summary: str, **parts: str) -> bytes:
    """A template in pages/ with its $placeholders filled: title and summary are text, the parts are HTML or JSON."""
    head = template("head.html").substitute(title=html.escape(title), colours=style("colours.css"))
    page = template(name).substitute(head=head, title=html.escape(title), summary=html.escape(summary), **parts)
    return page.encode("utf-8", "backslashreplace")


def template(name: str) -> Template:
    return Template((PAGES / name).read_text(encoding="utf-8"))


def style(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def embed(value: object) -> str:
    """JSON for a <script> element. Strings in it cannot end the element."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(UNSAFE)


def in_bytes(size: int) -> str:
    """45 kB, 3.2 MB"""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 1):.0f} kB"
