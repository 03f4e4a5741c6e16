"""Conversation: a text that is continued by turns. Its key-value cache is kept, so that a turn costs its own tokens only."""
import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from npgpt.generation.generate import NEW_COLUMNS, Choice, checked_prompt, choose
from npgpt.generation.inference import next_logits, prefill
from npgpt.generation.kv_cache import empty_cache
from npgpt.generation.sampling import check_sampling
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups


class Conversation:
    """text: the ids of everything read and written so far. It begins empty.

    The model sees at most the last n_positions tokens. When there are more, its window slides by as many eighths of the
    context as are needed, and the tokens that remain are computed again.
    """

    def __init__(self, parameters: np.ndarray, config: GPTConfig) -> None:
        self.p, self.config = groups(parameters, language_model_table(config)), config
        self.cache = empty_cache(config, 1, min(NEW_COLUMNS, config.n_positions), parameters.dtype)
        self.text: list[int] = []
        self.begin = 0                          # the first token that the model sees
        self.length = 0                         # how many tokens from there on are in the cache

    def read(self, ids: Sequence[int]) -> None:
        """Add tokens to the text; they are computed when they are answered. Raises InputError for one outside the
        vocabulary.
        """
        self.text += checked_prompt(ids, self.config) if len(ids) else []

    def answer(self, rng: np.random.Generator, greedy: bool = False, repetition_penalty: float = 1.0,
               end: Collection[int] = (), **sampling) -> Iterator[Choice]:
        """Continue the text, token by token, up to one of the tokens `end`, which does not become part of it.

        The settings are those of generate_batch. Take as many tokens as you want: those taken are part of the text. Raises
        InputError for settings out of range, for an empty text, and for a model whose logits are NaN or infinite.
        """
        check_sampling(repetition_penalty=repetition_penalty, **sampling)
        checked_prompt(self.text, self.config)
        while True:
            choice = choose(self.logits(), self.text, rng, greedy, repetition_penalty, sampling)
            if choice.token in end:
                return
            self.text.append(choice.token)
            yield choice

    def logits(self) -> np.ndarray:
        """Logits (V,) of the token after the text. Only tokens that are not in the cache are computed, and the last one."""
        most = self.config.n_positions
        surplus = len(self.text) - self.begin - most
        if surplus > 0:
            slide = max(most // 8, 1)
            self.begin += math.ceil(surplus / slide) * slide
            self.length = 0
        end = len(self.text) - self.begin
        length = min(self.length, end - 1)
        unread = np.array(self.text[self.begin + length:])
        if end > self.cache.columns:
            self.cache.widen(self.config, min(max(end, 2 * self.cache.columns), most))
        self.length = 0                         # if this is interrupted, columns of a ring may have been replaced already
        logits = next_logits(unread[None], self.p, self.config, self.cache, length)[0] if length else prefill(
            unread, self.p, self.config, self.cache)
        self.length = end
        return logits
