"""Cross-attention: what each token of a translation attends to in its source, as numbers and as a picture."""
from collections.abc import Iterator, Sequence

import numpy as np

from npgpt.inspection.attention_picture import GAP, LARGEST, LETTER, LEVELS, MARGIN, PER_ROW, STYLE, TITLE, fitted
from npgpt.inspection.picture import PAGE, picture, text
from npgpt.model.encoder_decoder import encoder_decoder
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import model_table
from npgpt.model.parameters import groups


def cross_attended(source: np.ndarray, target: np.ndarray, parameters: np.ndarray,
                   config: EncoderDecoderConfig) -> np.ndarray:
    """source (S,), target (T,)  ->  weights (L, H, T, S)

    weights[l, h, t, s] is the weight of the source's position s where head h of the decoder's layer l helps to predict
    target[t], from the target's tokens before it. Each row sums to 1.
    """
    ids = np.concatenate([[config.pad_token_id], target[:-1]])
    _, cache = encoder_decoder(source[None], ids[None], groups(parameters, model_table(config)), config)
    return np.stack([block.attend.attention.weights[0] for block in cache.decoder.blocks])


def cross_attention_picture(source: Sequence[str], target: Sequence[str], weights: np.ndarray, layers: Sequence[int],
                            heads: Sequence[int]) -> bytes:
    """S and T tokens as text, weights (L, H, T, S), the numbers of the layers and heads  ->  SVG

    A row for each predicted token, a column for each of the source. Colour by square root.
    """
    columns, rows = [fitted(token) for token in source], [fitted(token) for token in target]
    L, H, T, S = weights.shape
    across = min(H, PER_ROW)
    left, above = (LETTER * (max(map(len, tokens)) + 1) for tokens in (rows, columns))       # labels, in cells
    cell = min(LARGEST, ((PAGE - 2 * MARGIN - (across - 1) * GAP) / across) / (S + left))
    wide, high = (left + S) * cell + GAP, (above + T) * cell + GAP + TITLE
    parts = []
    for i, (layer, head) in enumerate(np.ndindex(L, H)):
        x, y = MARGIN + i % across * wide, MARGIN + i // across * high
        parts += [text(x, y + 14, f"layer {layers[layer]}, head {heads[head]}"),
                  f'<g transform="translate({x + left * cell:.1f} {y + TITLE + above * cell:.1f})">',
                  *labels(columns, rows, cell), *cells(weights[layer, head], cell), "</g>"]
    lines = -(-L * H // across)
    return picture("Cross-attention: each row is a token of the translation, each column a token of the source",
                   2 * MARGIN + across * wide - GAP, 2 * MARGIN + lines * high - GAP, parts, STYLE)


def labels(columns: Sequence[str], rows: Sequence[str], cell: float) -> Iterator[str]:
    height = 0.8 * cell
    yield f'<g style="font-size: {height:.1f}px">'
    for t, token in enumerate(rows):
        yield text(-0.3 * cell, (t + 0.5) * cell + 0.35 * height, token, "end", "token")
    for s, token in enumerate(columns):
        if len(token) == 1:
            yield text((s + 0.5) * cell, -0.3 * cell, token, "middle", "token")
        else:
            yield text((s + 0.5) * cell + 0.35 * height, -0.3 * cell, token, kind="token", upwards=True)
    yield "</g>"


def cells(weights: np.ndarray, cell: float) -> Iterator[str]:
    """All cells in the colour of 0, and above it those of each shade in one path."""
    square = f"h{cell - 1:.1f}v{cell - 1:.1f}h{1 - cell:.1f}z"
    shade = np.rint(np.sqrt(np.clip(weights, 0, 1)) * LEVELS).astype(int)
    for level in range(LEVELS + 1):
        at = zip(*np.nonzero(shade == level if level else np.ones_like(shade)))
        if path := "".join(f"M{s * cell:.1f} {t * cell:.1f}{square}" for t, s in at):
            kind, opacity = ("high", level / LEVELS) if level else ("low", 1)
            yield f'<path class="{kind}" fill-opacity="{opacity:.3g}" d="{path}"/>'
