"""Pictures of attention maps: those of some heads, side by side."""
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

    A row for each token that attends, a column for each that it attends to. If no token attends to later ones, row t has
    columns 0 to t only.
    """
    return maps_picture("Attention: each row is a token that attends, each column a token that it attends to", shown, shown,
                        weights, layers, heads, causal=not np.triu(weights, 1).any())


def maps_picture(title: str, rows: Sequence[str], columns: Sequence[str], weights: np.ndarray, layers: Sequence[int],
                 heads: Sequence[int], causal: bool = False) -> bytes:
    """T rows and S columns as text, weights (L, H, T, S), the numbers of the layers and heads  ->  SVG

    Colour by square root, as in the page. causal: row t has columns 0 to t only.
    """
    rows, columns = [fitted(token) for token in rows], [fitted(token) for token in columns]
    L, H, T, S = weights.shape
    across = min(H if H > 1 else L, PER_ROW)
    room = (PAGE - 2 * MARGIN - (across - 1) * GAP) / across
    left, above = (LETTER * (max(map(len, tokens)) + 1) for tokens in (rows, columns))       # labels, in cells
    cell = min(LARGEST, room / (left + S))
    labelled = cell >= SMALLEST
    if not labelled:
        cell, left, above = room / S, 0, 0
    width, height = (left + S) * cell + GAP, TITLE + (above + T) * cell + GAP
    seen = np.tri(T, S, dtype=bool) if causal else np.ones((T, S), bool)
    parts = []
    for i, (layer, head) in enumerate(np.ndindex(L, H)):
        x, y = MARGIN + i % across * width, MARGIN + i // across * height
        parts += [text(x, y + 14, f"layer {layers[layer]}, head {heads[head]}"),
                  f'<g transform="translate({x + left * cell:.1f} {y + TITLE + above * cell:.1f})">',
                  *(token_labels(rows, columns, cell) if labelled else ()), *cells(weights[layer, head], seen, cell), "</g>"]
    lines = -(-L * H // across)
    return picture(title, 2 * MARGIN + across * width - GAP, 2 * MARGIN + lines * height - GAP, parts, STYLE)


def token_labels(rows: Sequence[str], columns: Sequence[str], cell: float) -> Iterator[str]:
    """The tokens left of their rows, and above their columns: upright if of one character, else from bottom to top."""
    height = 0.8 * cell
    yield f'<g style="font-size: {height:.1f}px">'
    for t, token in enumerate(rows):
        yield text(-0.3 * cell, (t + 0.5) * cell + 0.35 * height, token, "end", "token")
    for s, token in enumerate(columns):
        middle = (s + 0.5) * cell
        if len(token) == 1:
            yield text(middle, -0.3 * cell, token, "middle", "token")
        else:
            yield text(middle + 0.35 * height, -0.3 * cell, token, kind="token", upwards=True)
    yield "</g>"


def cells(weights: np.ndarray, seen: np.ndarray, cell: float) -> Iterator[str]:
    """The cells that are seen, in the colour of 0, and above it those of each shade in one path."""
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
