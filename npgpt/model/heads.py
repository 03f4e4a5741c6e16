"""Heads: what stands on a body, and turns its hidden states into predictions."""
import functools
from typing import Any, NamedTuple

import numpy as np

from npgpt.model.bert import BertParameters, bert_table
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.encoder_decoder import encoder_decoder_table
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.gpt import GPTParameters, gpt_table
from npgpt.model.parameters import Group, bias, weight

KINDS = CLASSIFICATION, REGRESSION, MULTIPLE_CHOICE, TAGGING, SPAN = (
    "classification", "regression", "multiple-choice", "tagging", "span")
EXPONENTS = -60, 60                             # the smallest and the largest scale as powers of two: float32 holds these


class Head(NamedTuple):
    """A head for labelled examples, beside the language-model head that every GPT has."""
    kind: str                                   # one of KINDS
    labels: tuple[str, ...] = ()                # of classification and tagging, in the order of their logits
    name: str = ""                              # of its task, where a model has several
    both_orders: bool = False                   # of two texts, whose states are added (similarity)
    scale: float = 1.0                          # of regression: the number is so many times what the linear layer gives


class HeadParameters(NamedTuple):
    """A linear layer from C channels to K logits."""
    w: Any                                      # (C, K)
    b: Any                                      # (K,); None where there is no bias


def head_table(head: Head, config: TransformerConfig) -> HeadParameters:
    """K is the number of labels; 1 for a number or the logit of a choice; 2 for the start and end of a span.

    Those of classification and regression have no bias, as in Hugging Face's classes.
    """
    K = {REGRESSION: 1, MULTIPLE_CHOICE: 1, SPAN: 2}.get(head.kind, len(head.labels))
    unbiased = head.kind in (CLASSIFICATION, REGRESSION)
    return HeadParameters(weight(config.n_embd, K, deviation=config.initializer_range), None if unbiased else bias(K))


@functools.cache
def model_table(config: TransformerConfig, heads: tuple[Head, ...] = ()) -> Group:
    """The parameter table of a model with a head for the tokens of its vocabulary, and further heads. A tied head uses the
    embedding, as that of an encoder-decoder always does, which takes no further heads.
    """
    if isinstance(config, EncoderDecoderConfig):
        return encoder_decoder_table(config)
    further = tuple(head_table(head, config) for head in heads)
    if isinstance(config, BertConfig):
        return bert_table(config, further)
    untied = weight(config.vocab_size, config.n_embd, deviation=config.initializer_range)
    return gpt_table(config, None if config.tie_word_embeddings else untied, further)


def language_model_table(config: GPTConfig) -> GPTParameters:
    """The parameter table of a GPT with a language-model head only."""
    return model_table(config)


def language_model_head(p: GPTParameters | BertParameters) -> np.ndarray:
    """The head's table (V, C), in the groups of the parameters or of their gradients: wte itself where it is tied."""
    if p.unembedding is not None:
        return p.unembedding
    return p.embeddings.wte if isinstance(p, BertParameters) else p.wte
