"""Beam search: several continuations at a time are kept and extended, to find likelier texts than token by token."""
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.generate import NOT_FINITE, checked_prompt, generate_batch
from npgpt.generation.inference import next_logits, prefill
from npgpt.generation.kv_cache import empty_cache
from npgpt.generation.sampling import check_sampling, log_probabilities, penalise_repetition
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups


class Beam(NamedTuple):
    """A continuation of the prompt. Its score is the sum of its tokens' log-probabilities; once it has ended, that sum
    divided by its length to the power of length_penalty."""
    tokens: list[int]
    score: float


def beam_search(parameters: np.ndarray, config: GPTConfig, prompt: Sequence[int], beams: int, max_new_tokens: int,
                end: Collection[int] = (), length_penalty: float = 1.0, repetition_penalty: float = 1.0) -> list[Beam]:
    """The best `beams` continuations found, best first: those of transformers' generate(num_beams=beams).

    In every step, each open beam is continued by every token, and the likeliest continuations are considered: so many
    that `beams` of them stay open whichever reach one of the tokens `end`. Of the first `beams`, those that have reached
    one are closed; of all others, the best `beams` stay open. The search ends at max_new_tokens, or when there are
    `beams` closed ones and no open one has a better score (transformers' early_stopping=False). A length_penalty above 0
    compensates for longer texts being less likely.

    repetition_penalty acts on log-probabilities, as in transformers. A single beam is greedy search, where it acts on
    logits. Scores are float32, as in transformers, so that beams of nearly the same score are ranked alike.

    Raises InputError if prompt and max_new_tokens do not fit the context, for settings out of range, for an empty
    prompt or one outside the vocabulary, and for a model whose logits are NaN or infinite.
    """
    check_sampling(repetition_penalty=repetition_penalty)
    prompt = checked_prompt(prompt, config)
    if beams < 1 or max_new_tokens < 1:
        raise InputError(f"beams and max_new_tokens must be 1 or more, not {beams} and {max_new_tokens}")
    room = config.n_positions - len(prompt)
    if max_new_tokens > room:
        raise InputError(f"{len(prompt):,} token{'s' * (len(prompt) > 1)} of prompt and {max_new_tokens:,} new ones do not "
                         f"fit the context of {config.n_positions:,}, and beam search does not slide: "
                         f"{f'ask for {room:,} or fewer' if room > 0 else 'shorten the prompt'}")
    if beams == 1:
        return [greedy_beam(parameters, config, prompt, max_new_tokens, end, length_penalty, repetition_penalty)]
    p = groups(parameters, language_model_table(config))
    cache = empty_cache(config, beams, len(prompt) + max_new_tokens, parameters.dtype)
    logits = prefill(np.array(prompt), p, config, cache.texts(1))[None]

    def extend(rows: list[int], tokens: list[int], length: int) -> np.ndarray:
        length += len(prompt) - 1
        cache.rearrange(np.array(rows + [0] * (beams - len(rows))), length)
        return next_logits(np.array(tokens)[:, None], p, config, cache.texts(len(rows)), length)

    return best_beams(logits, extend, prompt, beams, max_new_tokens, end, length_penalty, repetition_penalty)


def best_beams(logits: np.ndarray, extend: Callable, prompt: list[int], beams: int, max_new_tokens: int,
               end: Collection[int] = (), length_penalty: float = 1.0, repetition_penalty: float = 1.0) -> list[Beam]:
    """The search of beam_search, for any model.

    logits (1, V): of the first token. extend(rows, tokens, length): beam i becomes what beam rows[i] was, extended by
    tokens[i], so that it has `length` tokens; the result is the logits (N, V) of the next token of each.
    """
    opened, closed = [Beam([], 0.0)], []
    for step in range(1, max_new_tokens + 1):
        texts = [prompt + beam.tokens for beam in opened]
        continuations = likeliest(opened, texts, logits, (1 + max(len(end), 1)) * beams, repetition_penalty)
        last = step == max_new_tokens
        closed += [Beam(beam.tokens, beam.score / step**length_penalty) for _, beam in continuations[:beams]
                   if last or beam.tokens[-1] in end]
        closed = sorted(closed, key=lambda beam: -beam.score)[:beams]
        staying = [(row, beam) for row, beam in continuations if beam.tokens[-1] not in end][:beams]
        if last or not staying or len(closed) == beams and staying[0][1].score / step**length_penalty <= closed[-1].score:
            return closed
        rows, opened = [row for row, _ in staying], [beam for _, beam in staying]
        logits = extend(rows, [beam.tokens[-1] for beam in opened], step)


def greedy_beam(parameters: np.ndarray, config: GPTConfig, prompt: Sequence[int], max_new_tokens: int,
                end: Collection[int], length_penalty: float, repetition_penalty: float) -> Beam:
    """The continuation that takes the likeliest token in every step."""
    steps = generate_batch(parameters, config, [prompt], [None], greedy=True, repetition_penalty=repetition_penalty, end=end)
    choices = [choice for choice, in itertools.islice(steps, max_new_tokens)]
    score = sum(choice.log_probability for choice in choices) / len(choices)**length_penalty
    return Beam([choice.token for choice in choices], score)


def likeliest(opened: list[Beam], texts: list[list[int]], logits: np.ndarray, count: int,
              repetition_penalty: float) -> list[tuple[int, Beam]]:
    """The `count` likeliest continuations by one token, likeliest first, each with the row of the beam that it continues.

    logits (N, V): of the next token of each of the N open beams. Raises InputError if they are NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise InputError(NOT_FINITE)
    V = logits.shape[-1]
    rows = log_probabilities(logits).astype(np.float32)
    scores = np.stack([np.float32(beam.score) + penalise_repetition(row, text, repetition_penalty)
                       for beam, row, text in zip(opened, rows, texts, strict=True)]).reshape(-1)
    count = min(count, len(scores))
    best = np.argpartition(-scores, count - 1)[:count]
    best = best[np.lexsort((best, -scores[best]))]
    return [(int(i) // V, Beam([*opened[i // V].tokens, int(i) % V], scores[i])) for i in best]
