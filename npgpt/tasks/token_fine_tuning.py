"""Fine-tuning for tokens: a pretrained GPT or BERT learns to tag words, or to find answers in a text.

A linear head on the hidden state of every token (Devlin et al. 2019, section 4). tagging.py and span.py make sequences of
examples, and answers of the head's logits.
"""
import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.model.bert import BertCache, BertParameters, bert, bert_backward
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import TransformerConfig
from npgpt.model.gpt import GPTCache, GPTParameters, gpt, gpt_backward
from npgpt.model.heads import SPAN, Head, model_table
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import groups
from npgpt.tasks.epochs import Epochs

EVALUATION_SIZE = 32                            # examples in a batch of default size


class TokenInputs(Protocol):
    """An example as a sequence of T tokens: TaggedInputs or QuestionInputs."""
    ids: np.ndarray                             # (T,)
    segments: np.ndarray                        # (T,): 1 for the second of two texts
    targets: np.ndarray                         # tagging: (T,), labels or IGNORED; span: (2,), first and last token


class TokenBatch(NamedTuple):
    """B examples of at most T tokens."""
    ids: np.ndarray                             # (B, T), filled up at the end of each sequence
    segments: np.ndarray                        # (B, T)
    lengths: np.ndarray                         # (B,), without what was filled up
    targets: np.ndarray                         # (B, T) or (B, 2)


class TokenFineTuning:
    """A GPT or BERT with a head for tagging or spans, trained in epochs on examples."""

    unit = "targets"
    lm_weight = 0.0                             # there is no auxiliary loss

    def __init__(self, config: TransformerConfig, head: Head, training: Sequence[TokenInputs] = (),
                 validation: Sequence[TokenInputs] = (), seed: int = 0) -> None:
        self.config, self.heads, self.training, self.validation = config, (head,), training, validation
        self.table = model_table(config, self.heads)
        self.epochs = Epochs([len(training)], seed)

    @property
    def units_per_example(self) -> int:
        counts = [np.count_nonzero(example.targets != IGNORED) for example in self.training]
        return max(round(sum(counts) / len(counts)), 1)

    @property
    def uniform_loss(self) -> float:
        """Of a head to which all labels are as likely, or all tokens."""
        if self.is_span:
            return float(np.mean([math.log(len(example.ids)) for example in self.training]))
        return math.log(len(self.heads[0].labels))

    @property
    def is_span(self) -> bool:
        return self.heads[0].kind == SPAN

    def with_config(self, config: TransformerConfig) -> "TokenFineTuning":
        smaller = copy.copy(self)
        smaller.config, smaller.table = config, model_table(config, self.heads)
        return smaller

    def largest_batch(self, size: int) -> TokenBatch:
        T = min(max(len(example.ids) for example in self.training), self.config.n_positions)
        zeros = np.broadcast_to(np.int64(0), (size, T))                                # takes no memory
        return TokenBatch(zeros, zeros, np.full(size, T), zeros[:, :2] if self.is_span else zeros)

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> TokenBatch:
        _, chosen = self.epochs.batch(number, size)
        return token_batch([self.training[i] for i in chosen], self.config)

    def validation_batches(self, size: int | None = None) -> Iterator[TokenBatch]:
        """All validation examples."""
        return (batch for batch, _ in self.batches(self.validation, size))

    def batches(self, examples: Sequence[TokenInputs], size: int | None = None) -> Iterator[tuple[TokenBatch, list[int]]]:
        """Examples in batches of about the same length, and which examples each batch has."""
        size, order = size or EVALUATION_SIZE, by_length(examples)
        for start in range(0, len(examples), size):
            chosen = order[start:start + size]
            yield token_batch([examples[i] for i in chosen], self.config), chosen

    def count(self, batch: TokenBatch) -> int:
        return int(np.count_nonzero(batch[3] != IGNORED))

    def loss(self, batch: TokenBatch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """Mean cross-entropy of the tags; or the mean of those of the first and the last token of an answer."""
        return self.forward(TokenBatch(*batch), groups(parameters, self.table), rng, PLAIN, keep=False)[0]

    def loss_and_logits(self, batch: TokenBatch, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss, and the logits of labels (B, T, K); or of the first and the last token (B, 2, T), -inf for padding."""
        loss, logits, _ = self.forward(TokenBatch(*batch), groups(parameters, self.table), None, PLAIN, keep=False)
        return float(loss), logits

    def loss_and_gradients(self, batch: TokenBatch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        """As in Task. A language-model head of its own is not used, so that its gradient is 0."""
        gradients = np.empty_like(parameters) if out is None else out
        gradients[...] = 0
        p, g = groups(parameters, self.table), groups(gradients, self.table)
        loss, _, (body, kept, head, loss_cache) = self.forward(TokenBatch(*batch), p, rng, layers)
        dlogits = cross_entropy_backward(fraction, loss_cache)
        dx, *_ = linear_backward(dlogits.swapaxes(1, 2) if self.is_span else dlogits, head, g.heads[0])
        states_backward(dx if kept is None else dropout_backward(dx, kept), body, g)
        return fraction * float(loss), gradients

    def forward(self, batch: TokenBatch, p: GPTParameters | BertParameters, rng: np.random.Generator | None, layers: Layers,
                keep: bool = True) -> tuple[np.generic, np.ndarray, tuple]:
        """The loss, the logits, and what backward needs.

        Tagging chooses a label for each token; a span is a choice of its first and of its last token, among all of the
        sequence. So the axis of what is chosen is that of the labels or that of the tokens.
        """
        real = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]                  # (B, T)
        x, body = states(batch, real, p, self.config, rng, layers, keep)               # (B, T, C)
        kept = None
        if rng is not None and self.config.resid_pdrop > 0:
            x, kept = dropout(x, self.config.resid_pdrop, rng)
        logits, head = linear(x, *p.heads[0])                                          # (B, T, K)
        if self.is_span:
            logits = np.where(real[:, None], logits.swapaxes(1, 2), -np.inf)           # (B, 2, T)
        loss, loss_cache = cross_entropy(logits, batch.targets)
        return loss, logits, (body, kept, head, loss_cache)


def by_length(examples: Sequence[TokenInputs]) -> list[int]:
    """The indices of examples, the shortest first."""
    return sorted(range(len(examples)), key=lambda i: len(examples[i].ids))


def token_batch(examples: Sequence[TokenInputs], config: TransformerConfig) -> TokenBatch:
    """Several examples in one array. The targets of tagging are filled up with IGNORED."""
    T = max(len(example.ids) for example in examples)
    ids, segments, targets = (
        filled_up([getattr(example, name) for example in examples], T, value)
        for name, value in (("ids", config.pad_token_id or 0), ("segments", 0), ("targets", IGNORED)))
    return TokenBatch(ids, segments, np.array([len(example.ids) for example in examples]), targets)


def filled_up(rows: Sequence[np.ndarray], T: int, value: int) -> np.ndarray:
    """Rows of different lengths as (B, T); rows that all have the same length keep it."""
    width = T if len({len(row) for row in rows}) > 1 else len(rows[0])
    filled = np.full((len(rows), width), value, np.int64)
    for place, row in zip(filled, rows):
        place[:len(row)] = row
    return filled


def states(batch: TokenBatch, real: np.ndarray, p: GPTParameters | BertParameters, config: TransformerConfig,
           rng: np.random.Generator | None, layers: Layers, keep: bool) -> tuple[np.ndarray, BertCache | GPTCache]:
    """The hidden states (B, T, C). Those of real tokens do not depend on padding: a GPT sees only what comes before."""
    if not isinstance(config, BertConfig):
        return gpt(batch.ids, p, config, rng, layers, keep=keep)
    segments = np.minimum(batch.segments, config.type_vocab_size - 1)
    return bert(batch.ids, p, config, rng, layers, real, segments, keep)


def states_backward(dx: np.ndarray, cache: BertCache | GPTCache, g: GPTParameters | BertParameters) -> None:
    """dx (B, T, C). The gradients of all parameters of the body are written into g, whose wte is 0."""
    is_bert = isinstance(cache, BertCache)
    ids_read, drows = (bert_backward if is_bert else gpt_backward)(dx, cache, g)
    (g.embeddings if is_bert else g).wte[ids_read] = drows
