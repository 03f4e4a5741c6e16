"""Generation: one token after another, each drawn from what the model expects next."""
import codecs
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.sampling import next_token
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.text.tokenizer import Tokenizer


def generate(parameters: np.ndarray, config: GPTConfig, prompt: Sequence[int], rng: np.random.Generator,
             greedy: bool = False, **sampling) -> Iterator[int]:
    """Token ids that continue the prompt, without end: take as many as you want.

    greedy takes the likeliest token; otherwise sampling's settings go to next_token. The model sees the
    last n_positions tokens; once there are more, the window slides, and what has left it is forgotten.
    Raises InputError for an empty prompt, for ids outside the vocabulary, and for a model whose scores
    are no finite numbers.
    """
    ids = [int(i) for i in prompt]
    if not ids:
        raise InputError("the prompt is empty: give at least one token to continue from")
    if not 0 <= min(ids) <= max(ids) < config.vocab_size:
        raise InputError(f"the prompt has ids from {min(ids)} to {max(ids)}; the model's vocabulary is 0 to {config.vocab_size - 1}")
    while True:
        ids = ids[-config.n_positions:]
        logits, _ = gpt(np.array([ids]), parameters, config)
        last = logits[0, -1]                                   # (V,)
        if not np.isfinite(last).all():
            raise InputError("the model's scores are no finite numbers: its weights are damaged, or its training diverged")
        token = int(last.argmax()) if greedy else next_token(last, rng, **sampling)
        ids.append(token)
        yield token


def default_prompt(config: GPTConfig, tokenizer: Tokenizer) -> list[int]:
    """What to begin with where nothing is given: the end-of-text token, else a new line, else token 0."""
    if config.eos_token_id is not None:
        return [config.eos_token_id]
    try:
        return [int(i) for i in tokenizer.encode("\n")]
    except InputError:
        return [0]


def stream_text(tokens: Iterable[int], tokenizer: Tokenizer, stop: str | None = None) -> Iterator[str]:
    """Text of the tokens as they come, piece by piece; never half a character.

    Ends before the first occurrence of `stop`; what might still become one is held back until it is sure.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for token in tokens:
        held += decoder.decode(tokenizer.decode_bytes([token]))
        if stop and stop in held:
            yield held[:held.index(stop)]
            return
        sure = len(held) - overlap(held, stop or "")
        if sure:
            yield held[:sure]
        held = held[sure:]
    yield held + decoder.decode(b"", final=True)


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin `stop`."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
