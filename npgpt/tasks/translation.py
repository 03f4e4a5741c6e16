"""Translation, and every other task of turning one text into another: an encoder-decoder learns from pairs of texts."""
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward
from npgpt.layers.embedding import unembedding
from npgpt.model.encoder_decoder import encoder_decoder, encoder_decoder_backward, encoder_decoder_table
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import groups
from npgpt.tasks.epochs import Epochs
from npgpt.text.tokenizer import Tokenizer

SMOOTHING = 0.1                                 # section 5.4
EVALUATION_SIZE = 32                            # pairs in a batch of default size
BUCKET, BUCKETS = 256, 16                       # pairs in a bucket at least, and buckets at most


class Pair(NamedTuple):
    """Two texts as token ids, each with the end token."""
    source: np.ndarray                          # (S,)
    target: np.ndarray                          # (T,)


class PairBatch(NamedTuple):
    """B pairs. Sequences that are shorter than the longest are filled up at their ends."""
    source: np.ndarray                          # (B, S)
    ids: np.ndarray                             # (B, T): the target shifted right, so that it begins with the pad token
    targets: np.ndarray                         # (B, T): the target, or IGNORED


class Translation:
    """An encoder-decoder, trained in epochs.

    training, validation: pairs of token ids. A batch has pairs of about the same length, so that little is padding.
    smoothing: of the labels (Vaswani et al. 2017, section 5.4).
    """

    unit = "tokens"

    def __init__(self, config: EncoderDecoderConfig, training: Sequence[Pair] = (), validation: Sequence[Pair] = (),
                 smoothing: float = SMOOTHING, seed: int = 0) -> None:
        self.config, self.training, self.validation, self.smoothing = config, training, validation, smoothing
        self.table = encoder_decoder_table(config)
        self.longest = tuple(max((len(texts) for texts in side), default=config.n_positions) for side in sides(training))
        by_length = sorted(range(len(training)), key=lambda i: sum(map(len, training[i])))
        self.buckets = np.array_split(by_length, min(max(len(training) // BUCKET, 1), BUCKETS))
        self.epochs = Epochs([len(bucket) for bucket in self.buckets], seed)

    @property
    def units_per_example(self) -> int:
        """The mean length of a target."""
        return round(sum(len(pair.target) for pair in self.training) / max(len(self.training), 1))

    @property
    def uniform_loss(self) -> float:
        return math.log(self.config.vocab_size)

    def with_config(self, config: EncoderDecoderConfig) -> "Translation":
        other = Translation(config, smoothing=self.smoothing)
        other.longest = tuple(min(length, config.n_positions) for length in self.longest)
        return other

    def largest_batch(self, size: int) -> PairBatch:
        source, ids = (np.broadcast_to(np.int64(0), (size, length)) for length in self.longest)        # takes no memory
        return PairBatch(source, ids, ids)

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> PairBatch:
        bucket, chosen = self.epochs.batch(number, size)
        return self.batch([self.training[i] for i in self.buckets[bucket][chosen]])

    def validation_batches(self, size: int | None = None) -> Iterator[PairBatch]:
        """All validation pairs."""
        size = size or EVALUATION_SIZE
        pairs = sorted(self.validation, key=lambda pair: sum(map(len, pair)))
        return (self.batch(pairs[start:start + size]) for start in range(0, len(pairs), size))

    def batch(self, pairs: Sequence[Pair]) -> PairBatch:
        pad = self.config.pad_token_id
        sources, targets = sides(pairs)
        shifted = [np.concatenate([[pad], target[:-1]]) for target in targets]
        return PairBatch(padded(sources, pad), padded(shifted, pad), padded(targets, IGNORED))

    def count(self, batch: PairBatch) -> int:
        return int(np.count_nonzero(batch[2] != IGNORED))

    def loss(self, batch: PairBatch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """Mean cross-entropy with label smoothing, in nats a token of the targets."""
        source, ids, targets = batch
        p = groups(parameters, self.table)
        y, _ = encoder_decoder(source, ids, p, self.config, rng, keep=False)           # (B, T, C)
        logits, _ = unembedding(y, p.shared)                                           # (B, T, V)
        return cross_entropy(logits, targets, smoothing=self.smoothing)[0]

    def loss_and_gradients(self, batch: PairBatch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        """As in Task. The shared table is used three times, to read the source, to read the target, and as the head, so
        three gradients add up.
        """
        source, ids, targets = batch
        gradients = np.empty_like(parameters) if out is None else out
        p, g = groups(parameters, self.table), groups(gradients, self.table)

        y, cache = encoder_decoder(source, ids, p, self.config, rng, layers)           # (B, T, C)
        logits, head_cache = layers.unembedding(y, p.shared)                           # (B, T, V)
        loss, loss_cache = cross_entropy(logits, targets, smoothing=self.smoothing)
        del logits                                # with a large vocabulary, larger than all else
        dlogits = cross_entropy_backward(fraction, loss_cache)
        del loss_cache

        dy, _ = layers.unembedding_backward(dlogits, head_cache, (g.shared,))
        del dlogits, head_cache
        for ids_read, drows in encoder_decoder_backward(dy, cache, g):
            g.shared[ids_read] += drows
        return fraction * float(loss), gradients


def token_ids(text: str, tokenizer: Tokenizer, config: EncoderDecoderConfig) -> np.ndarray:
    """A source or a target as ids, with the end token. Raises InputError for a text that the vocabulary cannot represent."""
    return np.append(tokenizer.encode(text), config.end_tokens[:1]).astype(np.int64)


def cut(ids: np.ndarray, config: EncoderDecoderConfig) -> np.ndarray:
    """As many of the ids as the model has positions, with the end token."""
    most = config.n_positions
    return ids if len(ids) <= most else np.append(ids[:most - 1], ids[-1:])


def sides(pairs: Sequence[Pair]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """All sources, and all targets."""
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


def padded(sequences: Sequence[np.ndarray], filler: int) -> np.ndarray:
    """Sequences of ids (T,)  ->  (B, T), each filled up at its end"""
    rows = np.full((len(sequences), max(map(len, sequences))), filler, np.int64)
    for row, ids in zip(rows, sequences):
        row[:len(ids)] = ids
    return rows
