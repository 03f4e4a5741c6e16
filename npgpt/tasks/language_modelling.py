"""Language modelling: predict every token from those before it."""
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward
from npgpt.layers.embedding import unembedding
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, gpt_backward
from npgpt.model.heads import language_model_head, language_model_table
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import groups
from npgpt.text.corpus import Corpus, random_batch, require_ids, require_length, spread_batches

EVALUATION_TOKENS = 1024     # in a batch of default size: enough for large matrix products, little memory
VALIDATION_TOKENS = 16384    # ten evaluations cost a twentieth of the default training; of the whole split, a sixth


class TokenBatch(NamedTuple):
    ids: np.ndarray                             # (B, T)
    targets: np.ndarray                         # (B, T): the token that follows each, or IGNORED


class LanguageModelling:
    """A GPT with a language-model head, on windows of n_positions tokens of a text.

    corpus: where batches are drawn from, if they are. Raises InputError if it is shorter than a window.
    """

    unit = "tokens"

    def __init__(self, config: GPTConfig, corpus: Corpus | None = None) -> None:
        self.config, self.corpus = config, corpus
        self.table = language_model_table(config)
        self.units_per_example, self.uniform_loss = config.n_positions, math.log(config.vocab_size)
        if corpus is not None:
            require_length(corpus.train, config.n_positions, "training text")

    def with_config(self, config: GPTConfig) -> "LanguageModelling":
        return LanguageModelling(config)

    def largest_batch(self, size: int) -> TokenBatch:
        zeros = np.broadcast_to(np.int64(0), (size, self.config.n_positions))          # takes no memory
        return TokenBatch(zeros, zeros)

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> TokenBatch:
        """Windows at random positions of the training text. Raises InputError for a token outside the vocabulary."""
        return self.checked(*random_batch(self.corpus.train, size, self.config.n_positions, rng))

    def validation_batches(self, size: int | None = None) -> Iterator[TokenBatch]:
        """The validation text; of one with more than VALIDATION_TOKENS, so many in windows spread evenly over it."""
        return self.batches(self.corpus.validation, size, VALIDATION_TOKENS)

    def batches(self, tokens: np.ndarray, size: int | None = None, most: float = math.inf) -> Iterator[TokenBatch]:
        """Consecutive windows of a text: every token except the first is a target once, predicted from those before it
        in its window. If there are more than `most` targets, so many, in windows spread evenly over the text.

        Raises InputError for fewer than two tokens, or one outside the vocabulary.
        """
        require_length(tokens, 1, "text to evaluate")
        size = size or max(EVALUATION_TOKENS // self.config.n_positions, 1)
        for ids, targets in spread_batches(tokens, size, self.config.n_positions, most):
            yield self.checked(ids, targets)

    def checked(self, ids: np.ndarray, targets: np.ndarray) -> TokenBatch:
        require_ids(ids, self.config.vocab_size)
        require_ids(targets, self.config.vocab_size)
        return TokenBatch(ids, targets)

    def count(self, batch: TokenBatch) -> int:
        return int(np.count_nonzero(batch[1] != IGNORED))

    def loss(self, batch: TokenBatch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """Mean cross-entropy in nats a token."""
        ids, targets = batch
        p = groups(parameters, self.table)
        x, _ = gpt(ids, p, self.config, rng, keep=False)                               # (B, T, C)
        logits, _ = unembedding(x, language_model_head(p))                             # (B, T, V)
        return cross_entropy(logits, targets)[0]

    def loss_and_gradients(self, batch: TokenBatch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        """As in Task. Where the head is tied, wte is used twice: in x_0 = wte[ids], and in logits_v = x wte_v. So two
        gradients add up, each summed over all positions:

            dwte_v = sum of dlogits_v x  +  sum of dx_0 where the id is v
        """
        ids, targets = batch
        gradients = np.empty_like(parameters) if out is None else out
        p, g = groups(parameters, self.table), groups(gradients, self.table)

        x, cache = gpt(ids, p, self.config, rng, layers)                               # (B, T, C)
        logits, head_cache = layers.unembedding(x, language_model_head(p))             # (B, T, V)
        loss, loss_cache = cross_entropy(logits, targets)
        del logits                                # with a large vocabulary, larger than all else
        dlogits = cross_entropy_backward(fraction, loss_cache)
        del loss_cache

        dx, _ = layers.unembedding_backward(dlogits, head_cache, (language_model_head(g),))
        del dlogits, head_cache
        ids_read, drows = gpt_backward(dx, cache, g)
        if not self.config.tie_word_embeddings:
            g.wte[...] = 0
        g.wte[ids_read] += drows
        return fraction * float(loss), gradients
