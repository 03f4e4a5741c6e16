"""Masked language modelling: predict tokens that were masked from those on both sides (Devlin et al. 2019)."""
import math
from collections.abc import Iterator

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward
from npgpt.model.bert import bert, bert_backward
from npgpt.model.bert_config import BertConfig
from npgpt.model.heads import language_model_head, model_table
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.masked_head import masked_head, masked_head_backward
from npgpt.model.parameters import groups
from npgpt.tasks.language_modelling import EVALUATION_TOKENS, VALIDATION_TOKENS
from npgpt.tasks.masking import Masking, MaskedBatch, each_masked, framed, masked, targets_of
from npgpt.text.corpus import Corpus, random_batch, require_ids, require_length, spread_batches

EVALUATION_SEED = 0          # of the masks of validation: the same in every run


class MaskedLanguageModelling:
    """A BERT with its masked-language-model head, on windows of a text. A window is as long as n_positions allows between
    [CLS] and [SEP].

    corpus, masking: where batches are drawn from, and how, if they are. Raises InputError for a context without room for a
    token, or a corpus that is shorter than a window.
    """

    unit = "tokens"

    def __init__(self, config: BertConfig, corpus: Corpus | None = None, masking: Masking | None = None) -> None:
        self.config, self.corpus, self.masking = config, corpus, masking
        self.table = model_table(config)
        self.units_per_example, self.uniform_loss = config.n_positions, math.log(config.vocab_size)
        if masking is not None and self.length < 1:
            raise InputError(f"a context of {config.n_positions} has no room for a token between [CLS] and [SEP]")
        if corpus is not None:
            require_length(corpus.train, self.length, "training text")

    @property
    def length(self) -> int:
        """Of a window: how many tokens of the text it has."""
        return self.config.n_positions - len(self.masking.begin) - len(self.masking.end)

    def with_config(self, config: BertConfig) -> "MaskedLanguageModelling":
        return MaskedLanguageModelling(config)

    def largest_batch(self, size: int) -> MaskedBatch:
        T = self.config.n_positions
        targets = np.where(np.arange(T) < targets_of(T), 0, IGNORED)
        return MaskedBatch(np.broadcast_to(np.int64(0), (size, T)), np.broadcast_to(targets, (size, T)))

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> MaskedBatch:
        """Windows at random positions of the training text, with new masks. Raises InputError for a token outside the
        vocabulary.
        """
        ids, _ = random_batch(self.corpus.train, size, self.length, rng)
        return self.masked(ids, rng)

    def validation_batches(self, size: int | None = None) -> Iterator[MaskedBatch]:
        """The validation text; of one with more than VALIDATION_TOKENS, so many in windows spread evenly over it. The
        masks are the same at every call.
        """
        return self.batches(self.corpus.validation, size, VALIDATION_TOKENS)

    def batches(self, tokens: np.ndarray, size: int | None = None, most: float = math.inf) -> Iterator[MaskedBatch]:
        """Consecutive windows of a text, with the same masks at every call. If they have more than `most` tokens, so many,
        in windows spread evenly over the text.
        """
        rng = np.random.default_rng(EVALUATION_SEED)
        for ids in self.windows(tokens, size or max(EVALUATION_TOKENS // self.config.n_positions, 1), most):
            yield self.masked(ids, rng)

    def each_masked(self, tokens: np.ndarray, most: float = math.inf) -> Iterator[MaskedBatch]:
        """Batches in which every token of a text is masked once, and no other at the same time; or so of `most` tokens, in
        windows spread evenly over the text.
        """
        for window, in self.windows(tokens, 1, most):
            yield each_masked(framed(window[None], self.masking)[0], self.masking)

    def windows(self, tokens: np.ndarray, size: int, most: float) -> Iterator[np.ndarray]:
        """(B, length) each. Raises InputError for fewer than two tokens: the last one of a text is left out."""
        require_length(tokens, 1, "text to evaluate")
        for ids, _ in spread_batches(tokens, size, self.length, most):
            yield ids

    def masked(self, ids: np.ndarray, rng: np.random.Generator) -> MaskedBatch:
        require_ids(ids, self.config.vocab_size)
        return masked(framed(ids, self.masking), self.masking, rng)

    def count(self, batch: MaskedBatch) -> int:
        return int(np.count_nonzero(batch[1] != IGNORED))

    def logits(self, batch: MaskedBatch, parameters: np.ndarray,
               rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The logits (N, V) of the N tokens that were masked, and these tokens (N,)."""
        ids, targets = batch
        p, chosen = groups(parameters, self.table), targets != IGNORED
        y, _ = bert(ids, p, self.config, rng, keep=False)                              # (B, T, C)
        return masked_head(y[chosen], p.head, language_model_head(p), self.config)[0], targets[chosen]

    def loss(self, batch: MaskedBatch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """Mean cross-entropy in nats a masked token."""
        return cross_entropy(*self.logits(batch, parameters, rng))[0]

    def loss_and_gradients(self, batch: MaskedBatch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        """As in Task. The head gets only the positions that were masked, so the others' hidden states have no gradient.
        Where it is tied, wte is used twice, in the embeddings and in the head, and two gradients add up.
        """
        ids, targets = batch
        gradients = np.empty_like(parameters) if out is None else out
        p, g = groups(parameters, self.table), groups(gradients, self.table)
        chosen = targets != IGNORED                                                    # (B, T), N times True

        y, cache = bert(ids, p, self.config, rng, layers)                              # (B, T, C)
        logits, head_cache = masked_head(y[chosen], p.head, language_model_head(p), self.config, layers)        # (N, V)
        loss, loss_cache = cross_entropy(logits, targets[chosen])
        del logits                                # with a large vocabulary, larger than all else
        dlogits = cross_entropy_backward(fraction, loss_cache)
        del loss_cache

        dy = np.zeros_like(y)
        dy[chosen], _, _ = masked_head_backward(dlogits, head_cache, (g.head, language_model_head(g)))
        del dlogits, head_cache
        ids_read, drows = bert_backward(dy, cache, g)
        if not self.config.tie_word_embeddings:
            g.embeddings.wte[...] = 0
        g.embeddings.wte[ids_read] += drows
        return fraction * float(loss), gradients
