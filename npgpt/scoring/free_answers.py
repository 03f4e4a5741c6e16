"""Free answers: what a language model says after a prompt, up to a stop text."""
import itertools
from collections.abc import Sequence

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.beam_search import beam_search
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.model.model import Model

STOP = "\n"
LENGTH_PENALTY = 0.6                            # of beams, as in GPT-3 (Brown et al. 2020, section 2.4)


def free_answer(model: Model, prompt: str, max_new_tokens: int, stop: str | Sequence[str] = STOP,
                beams: int = 1) -> tuple[str, int]:
    """The text with which the model continues a prompt, without spaces around it, and how many tokens of the prompt, at its
    left, did not fit. The likeliest token is taken each time; or, with several beams, the best text found.

    Raises InputError if max_new_tokens leave no room for a prompt, and as generation does.
    """
    parameters, config, tokenizer, _ = model
    ids = tokenizer.encode(prompt.rstrip()).tolist() or default_prompt(config, tokenizer)
    room = config.n_positions - max_new_tokens
    if room < 1:
        raise InputError(f"{max_new_tokens:,} new tokens leave no room for a prompt in the model's context of "
                         f"{config.n_positions:,}")
    kept, end = ids[-room:], config.end_tokens
    if beams > 1:
        tokens = beam_search(parameters, config, kept, beams, max_new_tokens, end, LENGTH_PENALTY)[0].tokens
    else:
        tokens = itertools.islice(generate(parameters, config, kept, np.random.default_rng(0), greedy=True, end=end),
                                  max_new_tokens)
    continued = stream_text(itertools.takewhile(lambda token: token not in end, tokens), tokenizer, stop)
    return "".join(continued).strip(), len(ids) - len(kept)
