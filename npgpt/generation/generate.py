"""Generation: one token after another, each drawn from what the model expects next."""
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

NOT_FINITE = "the model's logits are NaN or infinite: its weights are damaged, or its training diverged"


class Choice(NamedTuple):
    """A token that was chosen, and the logarithm of the probability that the model itself gave it: whatever
    temperature, top-k, top-p and penalty made of that."""
    token: int
    log_probability: float


def generate(parameters: np.ndarray, config: GPTConfig, prompt: Sequence[int], rng: np.random.Generator,
             greedy: bool = False, **settings) -> Iterator[int]:
    """Token ids that continue the prompt, without end: take as many as you want.

    generate_batch for one prompt: settings and errors are the same.
    """
    for choice, in generate_batch(parameters, config, [prompt], [rng], greedy, **settings):
        yield choice.token


def generate_batch(parameters: np.ndarray, config: GPTConfig, prompts: Sequence[Sequence[int]],
                   rngs: Sequence[np.random.Generator], greedy: bool = False, repetition_penalty: float = 1.0,
                   end: int | None = None, slide: int | None = None, **sampling) -> Iterator[list[Choice | None]]:
    """The next token of every prompt, again and again. With `end`, a text that has come to this token gets
    None from then on, and when all have, the iteration ends; else it does not.

    greedy takes the likeliest token; otherwise sampling's settings go to next_token, and text b draws from
    rngs[b], so that the same seeds give the same texts. repetition_penalty acts on all tokens of the text,
    the prompt's too, before either. For several continuations of one prompt, give it several times: where
    it stands beside itself it is read once.

    Each prompt is read in one pass, by itself; from then on every text gets one token a pass. A text that
    is shorter than others begins further right in the cache.

    The model sees at most the last n_positions tokens. When they are full, a text's window slides: its first
    `slide` are forgotten (an eighth by default), and because every token that stays has moved to another
    position, all of it is read anew. That costs as much as a prompt of this length, once in `slide` tokens;
    with slide = 1 the model always sees as much as it can, for a prompt's price a token. What it says then
    depends on where the window begins, and on nothing before: text that was forgotten is as if never written.

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
    p, cache = groups(parameters, language_model_table(config)), empty_cache(config, len(texts), parameters.dtype)
    logits, length, first = prefill_texts([text[-config.n_positions:] for text in texts], p, config, cache)
    ended = [False] * len(texts)
    while True:
        choices = [None if over else choose(row, text, rng, greedy, repetition_penalty, sampling)
                   for row, text, rng, over in zip(logits, texts, rngs, ended, strict=True)]
        for b, choice in enumerate(choices):
            if choice is not None:
                texts[b].append(choice.token)
                ended[b] = choice.token == end
        yield choices
        if all(ended):
            return
        if length == config.n_positions:
            length, first = make_room(texts, slide, p, config, cache, first)
        logits = next_logits(np.array([text[-1:] for text in texts]), p, config, cache, length, first)
        length += 1


def checked_prompt(prompt: Sequence[int], config: GPTConfig) -> list[int]:
    ids = [int(i) for i in prompt]
    if not ids:
        raise InputError("the prompt is empty: give at least one token to continue from")
    if not 0 <= min(ids) <= max(ids) < config.vocab_size:
        raise InputError(f"the prompt has ids from {min(ids)} to {max(ids)}; the model's vocabulary is 0 to {config.vocab_size - 1}")
    return ids


def prefill_texts(texts: list[list[int]], p: GPTParameters, config: GPTConfig,
                  cache: KeyValueCache) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Fill the cache with the texts, so that all end in the same column  ->  logits (B, V) of what follows
    each, columns in use, and each text's first column (B,) as first_columns has it.
    """
    length = max(len(text) for text in texts)
    logits = []
    for b, text in enumerate(texts):
        start = length - len(text)
        for array in cache.arrays():
            array[b, :, :start] = 0              # a weight of 0 keeps out numbers, but not the NaN of unused memory
        if b and text == texts[b - 1]:
            for array in cache.arrays():
                array[b, :, start:length] = array[b - 1, :, start:length]
            logits.append(logits[-1])
        else:
            logits.append(prefill(np.array(text), p, config, cache.text(b, start)))
    return np.stack(logits), length, first_columns([len(text) for text in texts])


def make_room(texts: list[list[int]], slide: int, p: GPTParameters, config: GPTConfig, cache: KeyValueCache,
              first: np.ndarray | None) -> tuple[int, np.ndarray | None]:
    """All columns are in use: let the windows that are full slide, and end all in the same column again
    ->  columns in use, and each text's first column, as in prefill_texts

    The cache then holds all but the last token of every text. A window that is not full stays as it is, and
    only moves to other columns: a text slides when it would alone.
    """
    columns = config.n_positions
    used = np.full(len(texts), columns) if first is None else columns - first
    kept = np.where(used == columns, columns - slide, used)
    length = int(kept.max())
    for b, size in enumerate(kept.tolist()):
        if size == used[b]:
            for array in cache.arrays():
                array[b, :, length - size:length] = array[b, :, columns - size:]
        elif size:
            prefill(np.array(texts[b][-size - 1:-1]), p, config, cache.text(b, length - size))
    return length, first_columns(kept)


def first_columns(lengths: Sequence[int]) -> np.ndarray | None:
    """Where texts that end in the same column begin (B,); None where all begin in the first of all."""
    first = max(lengths) - np.array(lengths)
    return first if first.any() else None


def choose(logits: np.ndarray, text: Collection[int], rng: np.random.Generator, greedy: bool,
           repetition_penalty: float, sampling: dict) -> Choice:
    """One token, from the logits (V,) of what may follow the text. Raises InputError where they are NaN or infinite."""
    normaliser = logsumexp(logits)
    if not math.isfinite(normaliser):
        raise InputError(NOT_FINITE)
    scores = penalise_repetition(logits, text, repetition_penalty)
    token = int(scores.argmax()) if greedy else next_token(scores, rng, **sampling)
    return Choice(token, float(logits[token]) - normaliser)


def default_prompt(config: GPTConfig, tokenizer: Tokenizer) -> list[int]:
    """What to begin with where nothing is given: the end-of-text token, else a new line, else token 0."""
    if config.eos_token_id is not None:
        return [config.eos_token_id]
    try:
        return [int(i) for i in tokenizer.encode("\n")]
    except InputError:
        return [0]


def stream_text(tokens: Iterable[int], tokenizer: Tokenizer, stop: str | Sequence[str] | None = None) -> Iterator[str]:
    """Text of the tokens as they come, piece by piece; never half a character.

    stop: one text or several. Ends before the first that occurs; what might still become one is held back
    until it is sure.
    """
    stops = [stop] if isinstance(stop, str) else [text for text in stop or () if text]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for token in tokens:
        held += decoder.decode(bytes_of(token, tokenizer))
        found = [held.index(text) for text in stops if text in held]
        if found:
            yield held[:min(found)]
            return
        sure = len(held) - max((overlap(held, text) for text in stops), default=0)
        if sure:
            yield held[:sure]
        held = held[sure:]
    yield held + decoder.decode(b"", final=True)


def bytes_of(token: int, tokenizer: Tokenizer) -> bytes:
    """What a token adds to a text. Models may have more tokens than their tokenizer, rounded up to 50,304 for GPT-2's
    50,257: such a one stands for no text, and U+FFFD shows it."""
    return tokenizer.decode_bytes([token]) if token < tokenizer.vocab_size else "\ufffd".encode()


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin `stop`."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
