"""Heat maps: attention weights as text, a darker character for a larger weight. Colour is optional."""
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

STEPS = (0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.45, 0.65, 0.85)     # a weight at or above the n-th gets the n-th character
CHARACTERS = " .:-=+*#%@"
SHADES = (None, 17, 18, 19, 25, 31, 37, 43, 49, 158)             # of the 256 colours of terminals, from dark to light
LABEL = 12                                                       # columns at most
BETWEEN = 3                                                      # columns between two maps


def heat_map(weights: np.ndarray, shown: Sequence[str], cell: int = 2, colour: bool = False) -> list[str]:
    """The lines of one head's map: a row for each token that attends, a column for each that it attends to.

    weights (T, T), shown: the tokens. cell: columns for each weight. All lines are equally wide: map_width(shown, cell).
    """
    side, past_alone = label_width(shown), not np.triu(weights, 1).any()
    lines = [" " * (side + 1) + line for line in column_labels(shown, cell)]
    for t, (token, row) in enumerate(zip(shown, weights)):
        label = fitted(token, LABEL)
        seen = row[:t + 1] if past_alone else row
        cells = "".join(painted(level(weight), cell, colour) for weight in seen)
        lines.append(" " * (side - columns(label)) + label + " " + cells + " " * cell * (len(shown) - len(seen)))
    return lines


def heat_maps(weights: np.ndarray, layers: Sequence[int], heads: Sequence[int], shown: Sequence[str], cell: int, width: int,
              colour: bool = False) -> Iterator[str]:
    """weights (L, H, T, T)  ->  lines. The maps of a layer's heads are side by side, as many as fit the width."""
    for layer in layers:
        maps = [(f"layer {layer} head {head}", heat_map(weights[layer, head], shown, cell, colour)) for head in heads]
        yield from side_by_side(maps, map_width(shown, cell), width)


def side_by_side(maps: Sequence[tuple[str, list[str]]], map_columns: int, width: int) -> Iterator[str]:
    """The lines of the maps, each under its title."""
    column = max(map_columns, max(len(title) for title, _ in maps))
    room = max((width + BETWEEN) // (column + BETWEEN), 1)
    for start in range(0, len(maps), room):
        some = maps[start:start + room]
        yield ""
        yield (" " * BETWEEN).join(title.ljust(column) for title, _ in some).rstrip()
        for lines in zip(*(lines for _, lines in some)):
            yield (" " * BETWEEN).join(line + " " * (column - map_columns) for line in lines).rstrip()


def map_width(shown: Sequence[str], cell: int) -> int:
    return label_width(shown) + 1 + cell * len(shown)


def label_width(shown: Sequence[str]) -> int:
    return max(columns(fitted(token, LABEL)) for token in shown)


def level(weight: float) -> int:
    return int(np.searchsorted(STEPS, weight, side="right"))


def painted(step: int, cell: int, colour: bool) -> str:
    text = CHARACTERS[step] * cell
    if not colour or SHADES[step] is None:
        return text
    return f"\x1b[48;5;{SHADES[step]}m\x1b[38;5;{15 if step < 6 else 0}m{text}\x1b[0m"


def legend(colour: bool = False) -> str:
    """Which character represents which weights, in less than 80 columns."""
    return "weights from " + "  ".join(f"{painted(i, 1, colour)} {limit:g}" for i, limit in enumerate(STEPS, 1))


def column_labels(shown: Sequence[str], cell: int) -> list[str]:
    """The tokens from top to bottom, each ending right above its column. A character wider than it becomes `?`."""
    texts = [fitted(token, LABEL // 2 if cell > 1 else LABEL // 3) for token in shown]
    height = max(map(len, texts))
    padded = [[c + " " * (cell - columns(c)) if columns(c) <= cell else "?" for c in text.rjust(height)] for text in texts]
    return ["".join(line) for line in zip(*padded)]


def fitted(text: str, width: int) -> str:
    """The text, or as much of its beginning as fits `width` columns with two dots."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 2:
        text = text[:-1]
    return text + ".."


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
