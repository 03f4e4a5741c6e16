"""Filling: the likeliest tokens in the places of [MASK], by a masked language model."""
import numpy as np

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax
from npgpt.model.bert import bert
from npgpt.model.bert_config import BertConfig
from npgpt.model.heads import language_model_head, model_table
from npgpt.model.masked_head import masked_head
from npgpt.model.parameters import groups
from npgpt.tasks.masking import MASK, encode_masked, masking_of
from npgpt.text.tokenizer import Tokenizer


def masked_ids(text: str, tokenizer: Tokenizer, config: BertConfig) -> np.ndarray:
    """A text in which [MASK] stands for a token  ->  ids (T,), with [CLS] and [SEP] around it

    Raises InputError for a text without [MASK], one that is too long, or a tokenizer without [MASK].
    """
    ids = encode_masked(text, tokenizer)
    if tokenizer.special_tokens[MASK] not in ids:
        raise InputError(f'the text must have {MASK} in the place of a token, as in "The {MASK} is"')
    if len(ids) > config.n_positions:
        raise InputError(f"the text has {len(ids):,} tokens, and the model sees at most {config.n_positions:,}")
    return ids


def mask_probabilities(ids: np.ndarray, mask: int, parameters: np.ndarray, config: BertConfig) -> np.ndarray:
    """ids (T,)  ->  probabilities (N, V) of all tokens in each of the N places of `mask`, predicted independently"""
    p = groups(parameters, model_table(config))
    y, _ = bert(ids[None], p, config, keep=False)                                      # (1, T, C)
    logits, _ = masked_head(y[0, ids == mask], p.head, language_model_head(p), config)             # (N, V)
    return softmax(logits)[0]


def filled(ids: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer) -> str:
    """The text of ids (T,) with tokens (N,) in the N places of [MASK], without special tokens."""
    masking = masking_of(tokenizer)
    ids = ids.copy()
    ids[ids == masking.mask] = tokens
    return tokenizer.decode(ids[~np.isin(ids, masking.special)])
