"""The picture of `npgpt attention --svg`: the maps of some heads, side by side."""
from collections.abc import Iterator, Sequence

import numpy as np

from npgpt.inspection.picture import PAGE, picture, text

MARGIN, GAP = 14, 22                            # around the picture, between maps
PER_ROW = 4                                     # maps
LARGEST, SMALLEST = 26, 8                       # cells; below SMALLEST there is no room for the tokens' labels
TITLE = 30                                      # the height of a map's title
LEVELS = 32                                     # shades
LONGEST = 9                                     # characters of a token
LETTER = 0.5                                    # the width of a letter, relative to the cell
STYLE = """text { fill: var(--ink); font: 14px system-ui, sans-serif; }
.token { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
.low { fill: rgb(var(--low)); } .high { fill: rgb(var(--high)); }
"""


def attention_picture(shown: Sequence[str], weights: np.ndarray, layers: Sequence[int], heads: Sequence[int]) -> bytes:
    """shown: T tokens as text, weights (L, H, T, T), the numbers of the layers and heads  ->  SVG

    A row for each token that attends, a column for each that it attends to. Colour by square root, as in the page.
    """
    T, tokens = len(shown), [fitted(token) for token in shown]
    maps = [(f"layer {layer}, head {head}", weights[i, j]) for i, layer in enumerate(layers) for j, head in enumerate(heads)]
    across = min(len(heads) if len(heads) > 1 else len(maps), PER_ROW)
    room = (PAGE - 2 * MARGIN - (across - 1) * GAP) / across
    beside = LETTER * (max(map(len, tokens)) + 1)
    cell = min(LARGEST, room / (T + beside))
    cell, labels = (cell, cell * beside) if cell >= SMALLEST else (room / T, 0)
    size = labels + T * cell
    step = size + GAP
    parts = []
    for number, (title, one) in enumerate(maps):
        x, y = MARGIN + number % across * step, MARGIN + number // across * (TITLE + step)
        parts += [text(x, y + 14, title), f'<g transform="translate({x + labels:.1f} {y + TITLE + labels:.1f})">',
                  *(token_labels(tokens, cell) if labels else ()), *cells(one, cell), "</g>"]
    rows = -(-len(maps) // across)
    title = "Attention: each row is a token that attends, each column a token that it attends to"
    return picture(title, 2 * MARGIN + across * step - GAP, 2 * MARGIN + rows * (TITLE + step) - GAP, parts, STYLE)


def token_labels(tokens: Sequence[str], cell: float) -> Iterator[str]:
    """The tokens left of their rows, and above their columns from bottom to top, or upright if all have one character."""
    height = 0.8 * cell
    yield f'<g style="font-size: {height:.1f}px">'
    for t, token in enumerate(tokens):
        middle = (t + 0.5) * cell
        yield text(-0.3 * cell, middle + 0.35 * height, token, "end", "token")
        if len(token) == 1:
            yield text(middle, -0.3 * cell, token, "middle", "token")
        else:
            yield text(middle + 0.35 * height, -0.3 * cell, token, kind="token", upwards=True)
    yield "</g>"


def cells(weights: np.ndarray, cell: float) -> Iterator[str]:
    """All cells, or those up to the diagonal if no token attends to later ones: in the colour of 0, and above it those of each
    shade in one path.
    """
    T = len(weights)
    seen = np.ones((T, T), bool) if np.triu(weights, 1).any() else np.tri(T, dtype=bool)
    gap = 1 if cell >= SMALLEST else 0
    square = f"h{cell - gap:.1f}v{cell - gap:.1f}h{gap - cell:.1f}z"
    shade = np.rint(np.sqrt(np.clip(weights, 0, 1)) * LEVELS).astype(int)
    for level in range(LEVELS + 1):
        at = list(zip(*np.nonzero(seen & (shade == level) if level else seen)))
        if at:
            path = "".join(f"M{s * cell:.1f} {t * cell:.1f}{square}" for t, s in at)
            kind, opacity = ("high", level / LEVELS) if level else ("low", 1)
            yield f'<path class="{kind}" fill-opacity="{opacity:.3g}" d="{path}"/>'


def fitted(token: str) -> str:
    return token if len(token) <= LONGEST else token[:LONGEST - 1] + "…"
