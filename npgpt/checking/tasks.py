"""Losses of whole models that `npgpt gradcheck` checks, beside those of the language models in the catalogue."""
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npgpt.checking import catalogue
from npgpt.checking.draws import V
from npgpt.checking.model import check_model
from npgpt.checking.report import Report
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import CLASSIFICATION, MULTIPLE_CHOICE, REGRESSION, SPAN, TAGGING, Head
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.inputs import Inputs
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import MaskedBatch
from npgpt.tasks.task import Batch, Task
from npgpt.tasks.token_fine_tuning import TokenBatch, TokenFineTuning
from npgpt.tasks.translation import Pair, Translation

# One block is enough: the bodies of several are checked as language models, and one loss here has an encoder and a decoder
# of two.
SMALL_GPT, DROPPING_GPT, SMALL_BERT = (dataclasses.replace(config, n_layer=1)
                                       for config in (catalogue.SMALL_GPT, catalogue.DROPPING_GPT, catalogue.SMALL_BERT))
LABELS = Head(CLASSIFICATION, ("a", "b", "c"))
PAIRS = Head(CLASSIFICATION, ("a", "b", "c"), both_orders=True)
NUMBER, CHOICE = Head(REGRESSION), Head(MULTIPLE_CHOICE)
TAGS, ANSWER = Head(TAGGING, ("B-X", "I-X", "O")), Head(SPAN)
LONGEST = SMALL_GPT.n_positions
SEQUENCES = {LABELS: [1, 1, 1], PAIRS: [2, 2, 2], NUMBER: [1, 1, 1], CHOICE: [3, 2, 3]}        # of each example


def draw_inputs(head: Head, rng: np.random.Generator) -> list[Inputs]:
    """Three examples whose sequences differ in length, with an id that occurs twice."""
    examples = []
    for count in SEQUENCES[head._replace(name="")]:
        sequences = [rng.integers(V, size=rng.integers(2, LONGEST + 1)) for _ in range(count)]
        sequences[0][-1] = sequences[0][0]
        below = {REGRESSION: 9, MULTIPLE_CHOICE: count}.get(head.kind, len(head.labels))
        examples.append(Inputs(sequences, int(rng.integers(below)), False))
    return examples


class TaskCase(NamedTuple):
    make: Callable[[np.random.Generator], tuple[Task, Batch]]
    zero: tuple[str, ...] = ()                  # parameters on which the loss does not depend


def fine_tuning(*heads: Head, config: GPTConfig = SMALL_GPT, lm_weight: float = 0.5, zero: tuple[str, ...] = ()) -> TaskCase:
    def make(rng: np.random.Generator) -> tuple[Task, Batch]:
        task = FineTuning(config, heads, lm_weight=lm_weight)
        return task, task.batch(0, draw_inputs(heads[0], rng))
    return TaskCase(make, zero)


def translation(**changes) -> TaskCase:
    """Three pairs whose texts differ in length, with ids that occur several times."""
    def make(rng: np.random.Generator) -> tuple[Task, Batch]:
        task = Translation(dataclasses.replace(SMALL_ENCODER_DECODER, **changes))
        pairs = [Pair(*(np.append(rng.integers(END, size=length), END) for length in lengths))
                 for lengths in ((LONGEST - 1, 3), (2, LONGEST - 2), (3, 1))]
        return task, task.batch(pairs)
    return TaskCase(make)


def masked(**changes) -> TaskCase:
    """Three texts that differ in length, with ids that occur several times, and two targets in each."""
    def make(rng: np.random.Generator) -> tuple[Task, Batch]:
        ids, targets = rng.integers(1, V, size=(3, LONGEST)), np.full((3, LONGEST), IGNORED)
        for row, length in enumerate((LONGEST, 3, 2)):
            ids[row, length:] = SMALL_BERT.pad_token_id
            targets[row, :2] = rng.integers(V, size=2)
        return MaskedLanguageModelling(dataclasses.replace(SMALL_BERT, **changes)), MaskedBatch(ids, targets)
    return TaskCase(make)


def of_tokens(head: Head, config: TransformerConfig, zero: tuple[str, ...] = ()) -> TaskCase:
    """Three texts that differ in length, in two segments, with ids that occur several times."""
    def make(rng: np.random.Generator) -> tuple[Task, Batch]:
        return TokenFineTuning(config, head), draw_token_batch(head, rng)
    return TaskCase(make, zero)


def draw_token_batch(head: Head, rng: np.random.Generator) -> TokenBatch:
    ids, lengths = rng.integers(1, V, size=(3, LONGEST)), np.array([LONGEST, 3, 2])
    segments, real = rng.integers(2, size=ids.shape), np.arange(LONGEST) < lengths[:, None]
    if head.kind == SPAN:
        targets = rng.integers(lengths[:, None], size=(3, 2))
    else:
        targets = np.where(real & (np.arange(LONGEST) != 1), rng.integers(len(head.labels), size=ids.shape), IGNORED)
    return TokenBatch(np.where(real, ids, 0), segments, lengths, targets)


END, PAD = V - 2, V - 1
SMALL_ENCODER_DECODER = EncoderDecoderConfig(
    vocab_size=V, n_positions=LONGEST, n_embd=SMALL_GPT.n_embd, n_layer=2, n_head=SMALL_GPT.n_head,
    n_inner=SMALL_GPT.n_inner, eos_token_id=END, pad_token_id=PAD).without_dropout()
POST_LN_GPT = dataclasses.replace(SMALL_GPT, pre_layer_norm=False)
BIAS = "heads.0.b"                              # of the logit of a choice or token: added to all, it changes no probability
# What is checked, by name; the part of the name before the comma is its name on the command line.
TASKS = {
    "fine_tuning, labels": fine_tuning(LABELS, lm_weight=0.0),
    "fine_tuning, both orders": fine_tuning(PAIRS),
    "fine_tuning, numbers": fine_tuning(NUMBER),
    "fine_tuning, choices": fine_tuning(CHOICE, zero=(BIAS,)),
    "fine_tuning, several heads": fine_tuning(LABELS, CHOICE._replace(name="second"), zero=("heads.1.w", "heads.1.b")),
    "fine_tuning, post-LN": fine_tuning(LABELS, config=POST_LN_GPT),
    "fine_tuning, untied head": fine_tuning(LABELS, config=dataclasses.replace(SMALL_GPT, tie_word_embeddings=False)),
    "fine_tuning, dropout": fine_tuning(CHOICE, config=DROPPING_GPT, zero=(BIAS,)),
    "translation": translation(),
    "translation, short decoder": translation(n_decoder_layer=1),
    "translation, dropout": translation(n_layer=1, resid_pdrop=0.1, attn_pdrop=0.3),
    "masked": masked(),
    "masked, untied head": masked(tie_word_embeddings=False),
    "masked, dropout": masked(resid_pdrop=0.1, attn_pdrop=0.3),
    "tagging": of_tokens(TAGS, SMALL_BERT),
    "tagging, dropout": of_tokens(TAGS, dataclasses.replace(SMALL_BERT, resid_pdrop=0.1, attn_pdrop=0.3)),
    "tagging, GPT": of_tokens(TAGS, SMALL_GPT),
    "span": of_tokens(ANSWER, SMALL_BERT, zero=(BIAS, "blocks.0.ln_2.bias")),
    "span, GPT": of_tokens(ANSWER, SMALL_GPT, zero=(BIAS, "ln_f.bias")),
    "span, untied GPT": of_tokens(ANSWER, dataclasses.replace(SMALL_GPT, tie_word_embeddings=False),
                                  zero=(BIAS, "ln_f.bias", "unembedding")),
}


def check_task(name: str, methods: tuple[str, ...], seed: int = 0) -> Report:
    """The gradients of one of TASKS by all parameters, each along random directions."""
    task, batch = TASKS[name].make(np.random.default_rng(seed))
    return check_model(task, batch, seed, methods, name, zero=TASKS[name].zero, coordinates=0)
