"""Masking: which tokens of a text are hidden from the model that is to predict them (Devlin et al. 2019, section 3.1)."""
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.text.tokenizer import Tokenizer

SPECIAL = PAD, UNKNOWN, BEGIN, END, MASK = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SHARE = 0.15                                    # of the tokens that are predicted
MASKED, RANDOM = 0.8, 0.1                       # of these: replaced by [MASK]; by a random token. The rest stay as they are.


class MaskedBatch(NamedTuple):
    ids: np.ndarray                             # (B, T), with masked tokens
    targets: np.ndarray                         # (B, T): the tokens that were masked; elsewhere IGNORED


class Masking(NamedTuple):
    """The ids of a vocabulary that masking needs."""
    mask: int
    special: np.ndarray                         # those never masked,
    ordinary: np.ndarray                        # and all others
    begin: tuple[int, ...]                      # what stands before each text: [CLS], or nothing;
    end: tuple[int, ...]                        # and after it: [SEP], or nothing


def masking_of(tokenizer: Tokenizer) -> Masking:
    """Raises InputError for a tokenizer without [MASK]."""
    special = tokenizer.special_tokens
    if MASK not in special:
        raise InputError(f"a masked language model needs a tokenizer with the special token {MASK}; this one has "
                         f"{', '.join(special) or 'none'}")
    ids = np.array(sorted(special.values()))
    begin, end = (tuple(special[name] for name in [role] if name in special) for role in (BEGIN, END))
    return Masking(special[MASK], ids, np.setdiff1d(np.arange(tokenizer.vocab_size), ids), begin, end)


def framed(ids: np.ndarray, masking: Masking) -> np.ndarray:
    """Texts (B, T) between [CLS] and [SEP]  ->  (B, T + 2)"""
    begin, end = (np.broadcast_to(np.array(tokens, np.int64), (len(ids), len(tokens)))
                  for tokens in (masking.begin, masking.end))
    return np.concatenate([begin, ids, end], axis=1)


def encode_masked(text: str, tokenizer: Tokenizer) -> np.ndarray:
    """A text in which [MASK] stands for a token  ->  ids (T,), with [CLS] and [SEP] around it"""
    return framed(tokenizer.encode(text, {MASK})[None], masking_of(tokenizer))[0]


def masked(ids: np.ndarray, masking: Masking, rng: np.random.Generator) -> MaskedBatch:
    """Choose 15% of each sequence's tokens, at least one, but no special token, as targets. 80% of them are replaced by
    [MASK], 10% by a random token, and 10% stay, so that the model has to know every token, not only to fill gaps.

    The numbers drawn for a sequence do not depend on how many sequences are masked at once.
    """
    order, kind, which = rng.random((len(ids), 3, ids.shape[1])).swapaxes(0, 1)        # (B, T) each
    ordinary = ~np.isin(ids, masking.special)
    ranks = np.where(ordinary, order, 1).argsort(axis=1).argsort(axis=1)
    chosen = ordinary & (ranks < targets_of(ordinary.sum(axis=1, keepdims=True)))
    random = masking.ordinary[(which * len(masking.ordinary)).astype(np.int64)]
    replaced = np.where(kind < MASKED, masking.mask, np.where(kind < MASKED + RANDOM, random, ids))
    return MaskedBatch(np.where(chosen, replaced, ids), np.where(chosen, ids, IGNORED))


def targets_of(tokens: np.ndarray | int) -> np.ndarray:
    """How many of so many tokens are targets."""
    return np.maximum(np.rint(SHARE * tokens), 1).astype(np.int64)


def each_masked(ids: np.ndarray, masking: Masking) -> MaskedBatch:
    """A sequence (T,) once for each of its N tokens that are not special, which is masked in it  ->  (N, T)"""
    positions = np.flatnonzero(~np.isin(ids, masking.special))
    rows = np.arange(len(positions))
    inputs, targets = np.tile(ids, (len(positions), 1)), np.full((len(positions), len(ids)), IGNORED)
    inputs[rows, positions], targets[rows, positions] = masking.mask, ids[positions]
    return MaskedBatch(inputs, targets)
