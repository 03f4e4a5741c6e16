"""Translation: an encoder-decoder writes the target token by token, greedily or by beam search.

The source's keys and values are computed once. Those of the target are cached, so that each token is computed once.
"""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.beam_search import best_beams
from npgpt.generation.generate import NOT_FINITE
from npgpt.generation.kv_cache import CachedAttention, KeyValueCache
from npgpt.layers.embedding import unembedding
from npgpt.layers.pattern import padding_mask
from npgpt.model.encoder_decoder import EncoderDecoderParameters, all_keys_values, decoder, encoder
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups
from npgpt.tasks.translation import cut, padded, token_ids

LONGER = 50                                     # tokens that a target may have more than its source (section 6.1)
LENGTH_PENALTY = 1.0                            # transformers' default; the paper's is another formula
TOGETHER = 32                                   # texts that are translated at once


class Decoding(NamedTuple):
    """What the decoder needs for the next token of B targets."""
    p: EncoderDecoderParameters
    config: EncoderDecoderConfig
    keys_values: list[np.ndarray]               # (2, B, H, S, D) of the memory, for each block
    mask: np.ndarray | None                     # (B, S)
    cache: KeyValueCache                        # of the targets

    def next_logits(self, tokens: Sequence[int], length: int) -> np.ndarray:
        """The last token (B,) of targets that have `length` before it  ->  logits (B, V) of the next token of each"""
        B = len(tokens)
        keys_values = [kv[:, :B] for kv in self.keys_values]
        mask = None if self.mask is None else self.mask[:B]
        patterns = [CachedAttention(keys, values, length) for keys, values in zip(*self.cache.texts(B))]
        y, _ = decoder(np.array(tokens)[:, None], keys_values, self.p, self.config, mask, positions=np.array([length]),
                       patterns=patterns, keep=False)
        return unembedding(y[:, 0], self.p.shared)[0]


def start(sources: Sequence[Sequence[int]], parameters: np.ndarray, config: EncoderDecoderConfig, copies: int,
          columns: int) -> Decoding:
    """Encode N sources, for `copies` targets of each, of at most so many tokens. Raises InputError for a source that is
    empty or too long, for ids outside the vocabulary, and for a model without a pad token.
    """
    if config.pad_token_id is None:
        raise InputError("this model has no pad_token_id, with which every target begins")
    if not sources or min(map(len, sources)) < 1 or max(map(len, sources)) > config.n_positions:
        raise InputError(f"a source has {max(map(len, sources), default=0):,} tokens; "
                         f"1 to {config.n_positions:,} are possible")
    ids = padded([np.asarray(source) for source in sources], config.pad_token_id)
    if not 0 <= ids.min() <= ids.max() < config.vocab_size:
        raise InputError(f"a source has ids from {ids.min()} to {ids.max()}; the vocabulary ends at {config.vocab_size - 1}")
    p, mask = groups(parameters, model_table(config)), padding_mask(ids, config.pad_token_id)
    memory, _ = encoder(ids, p, config, mask, keep=False)
    keys_values, _ = all_keys_values(memory, p, config)
    if copies > 1:
        keys_values = [np.repeat(kv, copies, axis=1) for kv in keys_values]
        mask = None if mask is None else np.repeat(mask, copies, axis=0)
    shape = (copies * len(ids), config.n_head, columns, config.n_embd // config.n_head)
    cache = KeyValueCache(*([np.empty(shape, parameters.dtype) for _ in p.decoder] for _ in range(2)))
    return Decoding(p, config, keys_values, mask, cache)


def most_tokens(source: Sequence[int], config: EncoderDecoderConfig) -> int:
    """How many tokens a target has at most, if nothing else is asked for."""
    return min(len(source) + LONGER, config.n_positions)


def translate_greedily(sources: Sequence[Sequence[int]], parameters: np.ndarray, config: EncoderDecoderConfig,
                       max_new_tokens: int | None = None) -> list[list[int]]:
    """Translate several sources at once, taking the likeliest token in every step  ->  targets, without the end token

    sources: token ids, each ending with the end token. max_new_tokens: by default most_tokens of each source. Raises
    InputError as start does, and for a model whose logits are NaN or infinite.
    """
    limits = np.array([checked_length(max_new_tokens, source, config) for source in sources])
    decoding = start(sources, parameters, config, 1, int(limits.max(initial=1)))
    targets, open_ = [[] for _ in sources], np.ones(len(sources), bool)
    tokens = np.full(len(sources), config.pad_token_id)
    for length in range(limits.max()):
        logits = decoding.next_logits(tokens, length)
        if not np.isfinite(logits).all():
            raise InputError(NOT_FINITE)
        tokens = logits.argmax(axis=-1)
        open_ &= ~np.isin(tokens, config.end_tokens) & (length < limits)
        for b in np.flatnonzero(open_):
            targets[b].append(int(tokens[b]))
        if not open_.any():
            break
    return targets


def translate_by_beams(source: Sequence[int], parameters: np.ndarray, config: EncoderDecoderConfig, beams: int,
                       max_new_tokens: int | None = None, length_penalty: float = LENGTH_PENALTY) -> list[list[int]]:
    """The best `beams` targets (without end token) that beam search finds for one source, best first: those of transformers'
    generate(num_beams=beams). Raises InputError as translate_greedily does, and for fewer than 1 beam.
    """
    if beams < 1:
        raise InputError(f"beams must be 1 or more, not {beams}")
    columns = checked_length(max_new_tokens, source, config)
    decoding = start([source], parameters, config, beams, columns)

    def extend(rows: list[int], tokens: list[int], length: int) -> np.ndarray:
        decoding.cache.rearrange(np.array(rows + [0] * (beams - len(rows))), length)
        return decoding.next_logits(tokens, length)

    found = best_beams(decoding.next_logits([config.pad_token_id], 0), extend, [config.pad_token_id], beams, columns,
                       config.end_tokens, length_penalty)
    return [[token for token in beam.tokens if token not in config.end_tokens] for beam in found]


def checked_length(max_new_tokens: int | None, source: Sequence[int], config: EncoderDecoderConfig) -> int:
    """Raises InputError for a length that the model cannot have."""
    if max_new_tokens is None:
        return most_tokens(source, config)
    if not 1 <= max_new_tokens <= config.n_positions:
        raise InputError(f"a target can have 1 to {config.n_positions:,} tokens in this model, not {max_new_tokens:,}")
    return max_new_tokens


def translate(model: Model, texts: Sequence[str], beams: int = 1, max_new_tokens: int | None = None,
              length_penalty: float = LENGTH_PENALTY, cut_longer: bool = False) -> Iterator[str]:
    """The translation of each text, by a model that has a tokenizer. cut_longer: of a text that is too long for the model,
    translate the beginning. Raises InputError as the functions above do, and for a text that the tokenizer cannot encode.
    """
    parameters, config, tokenizer, _ = model
    sources = [token_ids(text, tokenizer, config) for text in texts]
    if cut_longer:
        sources = [cut(source, config) for source in sources]
    for first in range(0, len(sources), TOGETHER):
        some = sources[first:first + TOGETHER]
        if beams == 1:
            targets = translate_greedily(some, parameters, config, max_new_tokens)
        else:
            targets = [translate_by_beams(source, parameters, config, beams, max_new_tokens, length_penalty)[0]
                       for source in some]
        special = {*tokenizer.special_tokens.values()}
        for target in targets:
            yield tokenizer.decode([token for token in target if token not in special and token < tokenizer.vocab_size])
