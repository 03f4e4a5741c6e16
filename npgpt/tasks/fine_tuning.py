"""Fine-tuning: a pretrained GPT learns from labelled examples, with a new head (Radford et al. 2018, section 3.2)."""
import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.mean_squared_error import mean_squared_error, mean_squared_error_backward
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, gpt, gpt_backward
from npgpt.model.heads import MULTIPLE_CHOICE, REGRESSION, Head, HeadParameters, language_model_head, model_table
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import groups, named_leaves
from npgpt.tasks.epochs import Epochs
from npgpt.tasks.inputs import ABSENT, Inputs, padded

LM_WEIGHT = 0.5                                 # of the auxiliary loss (section 4.1)
EVALUATION_SIZE = 32                            # examples in a batch of default size


class LabelledBatch(NamedTuple):
    """B examples for one head, each of at most S sequences."""
    ids: np.ndarray                             # (B, S, T)
    ends: np.ndarray                            # (B, S): the position of [classify], or ABSENT
    targets: np.ndarray                         # (B,): a label or choice, or a number (regression)
    head: np.ndarray                            # (B,): which head, the same for all


class FineTuning:
    """A GPT with heads for labelled examples, trained in epochs.

    training, validation: the examples for each head, in the order of the heads. pad: the id that fills up sequences.
    lm_weight: of the language model's loss on the same sequences, which is added to that of the head. evenly: with several
    heads, draw as many batches for each; otherwise in proportion to their examples.
    """

    unit, units_per_example = "examples", 1

    def __init__(self, config: GPTConfig, heads: Sequence[Head], training: Sequence[Sequence[Inputs]] = (),
                 validation: Sequence[Sequence[Inputs]] = (), pad: int = 0, lm_weight: float = LM_WEIGHT,
                 evenly: bool = False, seed: int = 0) -> None:
        self.config, self.heads, self.training, self.validation = config, tuple(heads), training, validation
        self.pad, self.lm_weight = pad, lm_weight
        self.table = model_table(config, self.heads)
        self.epochs = Epochs([len(examples) for examples in training], seed, evenly)

    @property
    def uniform_loss(self) -> float:
        """The largest of the heads' losses where all labels or choices are as likely, or 0 is predicted for all numbers."""
        return max(map(uniform_loss, self.heads, self.training)) + self.lm_weight * math.log(self.config.vocab_size)

    def with_config(self, config: GPTConfig) -> "FineTuning":
        smaller = copy.copy(self)
        smaller.config, smaller.table = config, model_table(config, self.heads)
        return smaller

    def largest_batch(self, size: int) -> LabelledBatch:
        examples = [example for examples in self.training for example in examples]
        S = max(len(example.sequences) for example in examples)
        T = min(max(len(sequence) for example in examples for sequence in example.sequences), self.config.n_positions)
        zeros = np.broadcast_to(np.int64(0), (size, S, T))                             # takes no memory
        targets = np.zeros(size, float if self.heads[0].kind == REGRESSION else int)
        return LabelledBatch(zeros, np.full((size, S), T - 1), targets, np.zeros(size, int))

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> LabelledBatch:
        head, chosen = self.epochs.batch(number, size)
        return self.batch(head, [self.training[head][i] for i in chosen])

    def validation_batches(self, size: int | None = None) -> Iterator[LabelledBatch]:
        """All validation examples."""
        for head, examples in enumerate(self.validation):
            yield from (batch for batch, _ in self.batches(head, examples, size))

    def batches(self, head: int, examples: Sequence[Inputs],
                size: int | None = None) -> Iterator[tuple[LabelledBatch, list[int]]]:
        """Examples in batches of about the same length, and which examples each batch has."""
        size = size or EVALUATION_SIZE
        by_length = sorted(range(len(examples)), key=lambda i: max(map(len, examples[i].sequences)))
        for start in range(0, len(examples), size):
            chosen = by_length[start:start + size]
            yield self.batch(head, [examples[i] for i in chosen]), chosen

    def batch(self, head: int, examples: Sequence[Inputs]) -> LabelledBatch:
        dtype = np.float64 if self.heads[head].kind == REGRESSION else np.int64
        targets = np.array([example.target for example in examples], dtype)
        return LabelledBatch(*padded(examples, self.pad), targets, np.full(len(examples), head))

    def count(self, batch: LabelledBatch) -> int:
        return len(batch[0])

    def predictions(self, batch: LabelledBatch, parameters: np.ndarray) -> np.ndarray:
        """Logits of labels (B, K) or of choices (B, S), -inf for those that an example does not have; or numbers (B, 1)."""
        batch, p = LabelledBatch(*batch), groups(parameters, self.table)
        index, ids, last = sequences(batch)
        x, _ = gpt(ids, p, self.config, keep=False)
        states = states_at(last, x, index, batch.ends.shape)
        return self.scale(batch) * head_logits(states, batch, p.heads[batch.head[0]], self.kind(batch))[0]

    def loss_and_predictions(self, batch: LabelledBatch, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """As loss and predictions, in one pass."""
        loss, logits, _ = self.forward(LabelledBatch(*batch), groups(parameters, self.table), None, PLAIN, keep=False)
        return float(loss), logits

    def kind(self, batch: LabelledBatch) -> str:
        return self.heads[batch.head[0]].kind

    def scale(self, batch: LabelledBatch) -> float:
        return self.heads[batch.head[0]].scale

    def loss(self, batch: LabelledBatch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """The mean loss of the examples, plus lm_weight times the language model's. Errors of numbers are in units of the
        head's scale.
        """
        return self.forward(LabelledBatch(*batch), groups(parameters, self.table), rng, PLAIN, keep=False)[0]

    def loss_and_gradients(self, batch: LabelledBatch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        gradients = np.empty_like(parameters) if out is None else out
        p, g = groups(parameters, self.table), groups(gradients, self.table)
        batch = LabelledBatch(*batch)
        loss, _, cache = self.forward(batch, p, rng, layers)
        self.backward(fraction, batch, cache, g, layers)
        return fraction * float(loss), gradients

    def forward(self, batch: LabelledBatch, p: GPTParameters, rng: np.random.Generator | None, layers: Layers,
                keep: bool = True) -> tuple[np.generic, np.ndarray, tuple]:
        """The loss, the predictions, and what backward needs, of B examples with N sequences in all. Dropout has one mask
        for all sequences of an example, as in the paper's code.

            loss = mean head_loss(state at [classify])  +  lm_weight * mean_examples mean_sequences mean_tokens lm_loss
        """
        index, ids, last = sequences(batch)                                            # (N,), (N, T), (N,)
        x, body = gpt(ids, p, self.config, rng, layers, keep=keep)                     # (N, T, C)
        states = states_at(last, x, index, batch.ends.shape)                           # (B, S, C)
        kept = None
        if rng is not None and self.config.resid_pdrop > 0:
            kept, _ = dropout(np.ones((len(states), 1, states.shape[-1]), states.dtype), self.config.resid_pdrop, rng)
            states = states * kept
        logits, head = head_logits(states, batch, p.heads[batch.head[0]], self.kind(batch))
        if self.kind(batch) == REGRESSION:
            loss, loss_cache = mean_squared_error(logits[:, 0], batch.targets / self.scale(batch))
            logits = self.scale(batch) * logits
        else:
            loss, loss_cache = cross_entropy(logits, batch.targets)
        lm = None
        if self.lm_weight:
            before = np.arange(ids.shape[1]) < last[:, None]                           # (N, T): these predict the next token
            lm_logits, unembedding = layers.unembedding(x[before], language_model_head(p))         # (M, V)
            lm_loss, lm_cache = cross_entropy(lm_logits, ids[:, 1:][before[:, :-1]], weights=lm_weights(batch.ends))
            loss = loss + self.lm_weight * lm_loss
            lm = before, unembedding, lm_cache
        return loss, logits, (index, last, x, body, kept, head, loss_cache, lm)

    def backward(self, dloss: float, batch: LabelledBatch, cache: tuple, g: GPTParameters, layers: Layers) -> None:
        """Every state at [classify] is used by the head and, if it is not last in the batch's array, by nothing else: the
        language model predicts from the positions before it. Gradients are written into g.
        """
        index, last, x, body, kept, head, loss_cache, lm = cache
        for i, parameters in enumerate(g.heads):
            if i != batch.head[0]:
                zero(parameters)
        if self.kind(batch) == REGRESSION:
            dlogits = mean_squared_error_backward(dloss, loss_cache)[:, None]
        else:
            dlogits = cross_entropy_backward(dloss, loss_cache)
        dstates = head_logits_backward(dlogits, head, batch, g.heads[batch.head[0]], self.kind(batch))       # (B, S, C)
        if kept is not None:
            dstates *= kept
        dx = np.zeros_like(x)
        dx[np.arange(len(last)), last] = dstates.reshape(-1, dstates.shape[-1])[index]
        if lm:
            before, unembedding, lm_cache = lm
            dlm_logits = cross_entropy_backward(dloss * self.lm_weight, lm_cache)
            dx[before], _ = layers.unembedding_backward(dlm_logits, unembedding, (language_model_head(g),))
        else:
            language_model_head(g)[...] = 0
        ids_read, drows = gpt_backward(dx, body, g)
        if not self.config.tie_word_embeddings:
            g.wte[...] = 0
        g.wte[ids_read] += drows


def sequences(batch: LabelledBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The N sequences that a batch has  ->  which of its B S they are (N,), their ids (N, T), and their ends (N,)"""
    ends = batch.ends.reshape(-1)
    index = np.flatnonzero(ends != ABSENT)
    return index, batch.ids.reshape(len(ends), -1)[index], ends[index]


def states_at(last: np.ndarray, x: np.ndarray, index: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """x (N, T, C)  ->  the states at the last position of each sequence (B, S, C), 0 for a sequence that is absent"""
    B, S = shape
    states = np.zeros((B * S, x.shape[-1]), x.dtype)
    states[index] = x[np.arange(len(last)), last]
    return states.reshape(B, S, -1)


def head_logits(states: np.ndarray, batch: LabelledBatch, p: HeadParameters, kind: str) -> tuple[np.ndarray, tuple]:
    """states (B, S, C)  ->  logits of choices (B, S), one for each sequence; or of labels (B, K), from the sum of the
    sequences' states: there is one, or two for similarity
    """
    if kind == MULTIPLE_CHOICE:
        logits, cache = linear(states, *p)                                             # (B, S, 1)
        return np.where(batch.ends != ABSENT, logits[..., 0], -np.inf), cache
    return linear(states.sum(axis=1), *p)


def head_logits_backward(dlogits: np.ndarray, cache: tuple, batch: LabelledBatch, g: HeadParameters,
                         kind: str) -> np.ndarray:
    """dlogits (B, S) or (B, K)  ->  dstates (B, S, C)"""
    if kind == MULTIPLE_CHOICE:
        return linear_backward(dlogits[..., None], cache, g)[0]
    dsum, *_ = linear_backward(dlogits, cache, g)                                      # (B, C)
    return np.repeat(dsum[:, None], batch.ends.shape[1], axis=1)


def lm_weights(ends: np.ndarray) -> np.ndarray:
    """The weights (M,) of all predicted tokens: such that the loss is the mean over the tokens of each sequence, then over
    the sequences of each example, then over the examples.
    """
    counts = np.count_nonzero(ends != ABSENT, axis=1, keepdims=True)                   # (B, 1) sequences
    present = ends[ends != ABSENT]                                                     # (N,) tokens predicted in each
    share = np.broadcast_to(1 / (len(ends) * counts), ends.shape)[ends != ABSENT]
    return np.repeat(share / present, present)


def uniform_loss(head: Head, examples: Sequence[Inputs]) -> float:
    """The mean loss of examples where all labels or choices are as likely, or 0 is predicted for all numbers."""
    if head.kind == REGRESSION:
        return float(np.mean([(example.target / head.scale)**2 for example in examples]))
    if head.kind == MULTIPLE_CHOICE:
        return float(np.mean([math.log(len(example.sequences)) for example in examples]))
    return math.log(len(head.labels))


def zero(parameters: HeadParameters) -> None:
    for _, array in named_leaves(parameters):
        array[...] = 0
