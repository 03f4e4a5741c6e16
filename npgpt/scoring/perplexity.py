"""The perplexity of a long text, in windows side by side or overlapping.

Overlapping windows, as in the guide to perplexity of transformers, predict each token from many before it, and cost more.
"""
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.tasks.language_modelling import EVALUATION_TOKENS, LanguageModelling, TokenBatch
from npgpt.text.corpus import require_length


class TextLoss(NamedTuple):
    loss: float                                 # nats a token: the mean over all targets
    targets: int
    guide_loss: float | None = None             # of overlapping windows, with the guide's weights: see overlapping


def text_loss(task: LanguageModelling, parameters: np.ndarray, tokens: np.ndarray, stride: int | None = None,
              report: Callable[[int, float], object] = lambda count, loss: None) -> TextLoss:
    """The loss over a text of at least two tokens.

    Without a stride the windows are side by side, and every token but the first is predicted. With one, they have
    n_positions tokens, and each begins `stride` tokens after the one before it; a token is predicted in the first window
    that has it, from all tokens before it there.

    report: called after each batch with the number of targets so far, and their mean loss. Raises InputError if the stride
    is not from 1 to n_positions, or for a token outside the vocabulary.
    """
    require_length(tokens, 1, "text to evaluate")
    length = task.config.n_positions
    if stride is None:
        batches = ((batch, 0) for batch in task.batches(tokens))
    elif 1 <= stride <= length:
        batches = overlapping(tokens, length, stride)
    else:
        raise InputError(f"the stride must be from 1 to the model's context ({length:,}), not {stride:,}")
    nats, count, guide_nats, guide_count = 0.0, 0, 0.0, 0
    for batch, new in batches:
        loss, targets = float(task.loss(task.checked(*batch), parameters)), task.count(batch)
        nats, count = nats + loss * targets, count + targets
        guide_nats, guide_count = guide_nats + loss * new, guide_count + new
        report(count, nats / count)
    return TextLoss(nats / count, count, guide_nats / guide_count if guide_count else None)


def overlapping(tokens: np.ndarray, length: int, stride: int) -> Iterator[tuple[TokenBatch, int]]:
    """Batches of windows, each with its weight in the guide: the sum of new tokens - 1 over its windows. Windows of the
    same size, with as many new tokens, are in the same batch.
    """
    size = max(EVALUATION_TOKENS // length, 1)
    spans = [span for span in windows(len(tokens), length, stride) if span.width > 1]
    for (width, new), same in itertools.groupby(spans, lambda span: span[1:]):
        starts = np.array([span.start for span in same])
        for some in np.array_split(starts, -(-len(starts) // size)):
            rows = tokens[some[:, None] + np.arange(width)].astype(np.int64)           # (B, width)
            targets = rows[:, 1:].copy()
            targets[:, :max(width - 1 - new, 0)] = IGNORED
            yield TokenBatch(rows[:, :-1], targets), len(rows) * (new - 1)


class Window(NamedTuple):
    start: int
    width: int                                  # tokens
    new: int                                    # how many of them no window before it had


def windows(count: int, length: int, stride: int) -> Iterator[Window]:
    """The windows of a text of so many tokens. The last one ends with the text."""
    before = 0
    for start in range(0, count, stride):
        end = min(start + length, count)
        yield Window(start, end - start, end - before)
        before = end
        if end == count:
            return
