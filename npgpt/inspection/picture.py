"""Picture: one SVG file that needs no other files, and follows the viewer's choice of light or dark."""
import html
from collections.abc import Iterable

from npgpt.inspection.page import style

FONT = "text { fill: var(--ink); font: 13px system-ui, sans-serif; }\n"
PAGE = 850                                      # pixels: as wide as a page's text


def picture(title: str, width: float, height: float, parts: Iterable[str], style_of_parts: str = FONT,
            shown: float | None = None) -> bytes:
    """An SVG file of parts on a background, width x height in their own units. shown: how many pixels wide, where there is
    room for them (default: width).
    """
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{shown or width:g}" role="img">',
        f"<title>{escaped(title)}</title>",
        f"<style>\n{style('colours.css')}{style_of_parts}</style>",
        f'<rect width="{width:g}" height="{height:g}" rx="6" style="fill: var(--paper)"/>',
        *parts,
        "</svg>\n"]).encode("utf-8", "backslashreplace")


def text(x: float, y: float, content: str, anchor: str = "start", kind: str = "", upwards: bool = False) -> str:
    """Text whose baseline goes through (x, y). anchor: which end of it is there. kind: its class in the style."""
    more = f' class="{kind}"' * bool(kind) + f' transform="rotate(-90 {x:.1f} {y:.1f})"' * upwards
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escaped(content)}</text>'


def escaped(content: str) -> str:
    """Text for XML, which allows no control characters, however they are written."""
    return html.escape("".join(character if character.isprintable() else "�" for character in content))
