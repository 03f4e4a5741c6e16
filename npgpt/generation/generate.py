"""Generation: one token after another, each chosen by the logits that the model gives for it."""
import codecs
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.inference import next_logits, prefill
from npgpt.generation.kv_cache import KeyValueCache, empty_cache
from npgpt.generation.sampling import check_sampling, logsumexp, next_token, penalise_repetition
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups
from npgpt.text.tokenizer import Tokenizer

NEW_COLUMNS = 64            # of the key-value cache, beyond the prompt; it is widened when they are used up
NOT_FINITE = "the model's logits are NaN or infinite: its weights are damaged, or its training diverged"


class Choice(NamedTuple):
    """A token that was chosen, and the logarithm of its probability by the model's own logits: before temperature,
    top-k, top-p and penalty."""
    token: int
    log_probability: float


def generate(parameters: np.ndarray, config: GPTConfig, prompt: Sequence[int], rng: np.random.Generator,
             greedy: bool = False, **settings) -> Iterator[int]:
    """Token ids that continue the prompt: generate_batch for one prompt, with the same settings and errors."""
    for choice, in generate_batch(parameters, config, [prompt], [rng], greedy, **settings):
        yield choice.token


def generate_batch(parameters: np.ndarray, config: GPTConfig, prompts: Sequence[Sequence[int]],
                   rngs: Sequence[np.random.Generator | None], greedy: bool = False, repetition_penalty: float = 1.0,
                   end: Collection[int] = (), slide: int | None = None, **sampling) -> Iterator[list[Choice | None]]:
    """Each item holds the next token of every text, without end: take as many as you want. A text that has reached one
    of the tokens `end` gets None from then on, and when all texts have, the iteration ends.

    greedy takes the likeliest token, and each of rngs may be None; otherwise next_token draws one with the settings
    `sampling`, for text b from rngs[b]. repetition_penalty acts on all tokens of the text, those of the prompt too. The same
    prompt may be given several times: if its copies are adjacent, it is computed once.

    The model sees at most the last n_positions tokens. When a text has so many, its window slides: the first `slide`
    tokens (by default an eighth) are dropped, and those that remain are computed again, because their positions have
    changed. So a small `slide` keeps more of the text in view, and costs a prefill more often.

    Raises InputError for no or an empty prompt, for ids outside the vocabulary, for settings out of range, and
    for a model whose logits are NaN or infinite.
    """
    check_sampling(repetition_penalty=repetition_penalty, **sampling)
    texts = [checked_prompt(prompt, config) for prompt in prompts]
    if not texts or len(texts) != len(rngs):
        raise InputError(f"prompts are needed, and a generator for each: there are {len(texts)} and {len(rngs)}")
    slide = max(config.n_positions // 8, 1) if slide is None else slide
    if not 1 <= slide <= config.n_positions:
        raise InputError(f"slide must lie between 1 and the context ({config.n_positions}), not {slide}")
    p = groups(parameters, language_model_table(config))
    windows = [text[-config.n_positions:] for text in texts]
    columns = min(max(map(len, windows)) + NEW_COLUMNS, config.n_positions)
    cache = empty_cache(config, len(texts), columns, parameters.dtype)
    logits, length, first = prefill_texts(windows, p, config, cache)
    ended = [False] * len(texts)
    while True:
        choices = [None if over else choose(row, text, rng, greedy, repetition_penalty, sampling)
                   for row, text, rng, over in zip(logits, texts, rngs, ended, strict=True)]
        for b, choice in enumerate(choices):
            if choice is not None:
                texts[b].append(choice.token)
                ended[b] = choice.token in end
        yield choices
        if all(ended):
            return
        if length == config.n_positions:
            length, first = slide_windows(texts, slide, p, config, cache, first)
        elif length == cache.columns:
            cache.widen(config, min(2 * length, config.n_positions))
        logits = next_logits(np.array([text[-1:] for text in texts]), p, config, cache, length, first)
        length += 1


def checked_prompt(prompt: Sequence[int], config: GPTConfig) -> list[int]:
    """The prompt's ids. Raises InputError if there are none, or for one outside the vocabulary."""
    ids = [int(i) for i in prompt]
    if not ids:
        raise InputError("the prompt is empty: give at least one token to continue from")
    if not 0 <= min(ids) <= max(ids) < config.vocab_size:
        raise InputError(f"the prompt has ids from {min(ids)} to {max(ids)}; the vocabulary ends at {config.vocab_size - 1}")
    return ids


def prefill_texts(texts: list[list[int]], p: GPTParameters, config: GPTConfig,
                  cache: KeyValueCache) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Fill the cache with the texts, so that all end in the same column  ->  logits (B, V) of the token after each,
    columns in use, and first_columns
    """
    length = max(len(text) for text in texts)
    logits = []
    for b, text in enumerate(texts):
        start = length - len(text)
        if b and text == texts[b - 1]:
            for array in cache.arrays():
                array[b, :, :length] = array[b - 1, :, :length]
            logits.append(logits[-1])
        else:
            for array in cache.arrays():
                array[b, :, :start] = 0          # unused memory may be NaN, and NaN times a weight of 0 is NaN
            logits.append(prefill(np.array(text), p, config, cache.texts(1, b), start))
    return np.stack(logits), length, first_columns([len(text) for text in texts])


def slide_windows(texts: list[list[int]], slide: int, p: GPTParameters, config: GPTConfig, cache: KeyValueCache,
                  first: np.ndarray | None) -> tuple[int, np.ndarray | None]:
    """When all columns are in use: slide the windows that are full, so that all end in the same column again
    ->  columns in use, and first_columns

    The cache then holds all tokens of each window except the last. A window that is not full keeps its tokens, and is
    moved to other columns: so every text slides when it would slide alone.
    """
    columns = config.n_positions
    used = np.full(len(texts), columns) if first is None else columns - first
    kept = np.where(used == columns, columns - slide, used)
    length = int(kept.max())
    for b, size in enumerate(kept.tolist()):
        if size == used[b]:
            cache.move(b, size, columns, length)
        elif size:
            prefill(np.array(texts[b][-size - 1:-1]), p, config, cache.texts(1, b), length - size)
    return length, first_columns(kept)


def first_columns(lengths: Sequence[int]) -> np.ndarray | None:
    """The first column (B,) of each of several texts that end in the same column; None if that is 0 for all."""
    first = max(lengths) - np.array(lengths)
    return first if first.any() else None


def choose(logits: np.ndarray, text: Collection[int], rng: np.random.Generator | None, greedy: bool,
           repetition_penalty: float, sampling: dict) -> Choice:
    """The token after a text, by its logits (V,). Raises InputError if they are NaN or infinite."""
    normaliser = logsumexp(logits)
    if not math.isfinite(normaliser):
        raise InputError(NOT_FINITE)
    scores = penalise_repetition(logits, text, repetition_penalty)
    token = int(scores.argmax()) if greedy else next_token(scores, rng, **sampling)
    return Choice(token, float(logits[token]) - normaliser)


def default_prompt(config: GPTConfig, tokenizer: Tokenizer) -> list[int]:
    """The prompt if none is given: the (first) end-of-text token, else a new line, else, for a tokenizer of words, a full
    stop, else token 0.
    """
    if config.end_tokens:
        return [config.end_tokens[0]]
    for text in ("\n", "."):
        try:
            ids = tokenizer.encode(text).tolist()
        except InputError:
            return [0]
        if ids:
            return ids
    return [0]


def stream_text(tokens: Iterable[int], tokenizer: Tokenizer, stop: str | Sequence[str] | None = None) -> Iterator[str]:
    """The text of the tokens, piece by piece, as soon as whole characters are known.

    stop: one text or several. The text ends before the first that occurs; what may be the beginning of one is held
    back until that is known.
    """
    stops = [stop] if isinstance(stop, str) else [text for text in stop or () if text]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for token in tokens:
        known = token < tokenizer.vocab_size        # a model may have more tokens than its tokenizer, to round them up
        held += decoder.decode(tokenizer.decode_bytes([token]) if known else "\ufffd".encode())
        found = [held.index(text) for text in stops if text in held]
        if found:
            yield held[:min(found)]
            return
        sure = len(held) - max((overlap(held, text) for text in stops), default=0)
        if sure:
            yield held[:sure]
        held = held[sure:]
    yield held + decoder.decode(b"", final=True)


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin `stop`."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
