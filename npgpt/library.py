"""The library in four functions: train a model, generate text with it, load it and save it."""
import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.generate import default_prompt, generate_batch, stream_text
from npgpt.interop.families import require_storable
from npgpt.interop.huggingface import load, save
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.parallel.memory import keep_freed_scratch
from npgpt.parallel.threads import available_cores
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import encode_corpus, read_text
from npgpt.text.tokenizer import Tokenizer
from npgpt.training import trainer
from npgpt.training.evaluation import evaluate
from npgpt.training.settings import default_settings

__all__ = ["generate", "load", "save", "train"]
REPORTS = 10


def train(text: str | Path, config: GPTConfig = preset("small"), tokenizer: Tokenizer | None = None,
          threads: int | None = None, report: Callable[[str], object] | None = print, **settings) -> Model:
    """Train a language model on a text, or on the text in a file  ->  the model

    config: its sizes; the vocabulary is the tokenizer's. tokenizer: by default a token for each character of the text.
    settings: fields of TrainingSettings, such as steps=500. The last tenth of the text is for validation.
    report: called ten times with a line about progress; None for no report. threads: by default one for each core.

    Raises InputError for settings out of range, a model that is no GPT or could not be saved, a text shorter than a
    context, or a file that is empty or not text; OSError for a file that cannot be read.
    """
    threads = available_cores() if threads is None else at_least(1, "threads", threads)
    text = read_text([text]) if isinstance(text, Path) else text
    if not text:
        raise InputError("the text is empty")
    if not isinstance(config, GPTConfig):
        raise InputError("train needs the configuration of a GPT: npgpt train --objective trains other models")
    tokenizer = tokenizer or CharacterTokenizer.of_text(text)
    config = dataclasses.replace(config, vocab_size=tokenizer.vocab_size, bos_token_id=None, eos_token_id=None,
                                 pad_token_id=None)
    require_storable(config)
    settings = default_settings(config, **settings)
    task = LanguageModelling(config, encode_corpus(text, tokenizer))
    keep_freed_scratch()
    state = trainer.initial_state(initial_parameters(task.table, settings.seed), task, settings, threads)
    with contextlib.closing(state.optimiser), parallel_gradients(task, threads) as loss_and_gradients:
        for step in trainer.train(state, task, settings, loss_and_gradients):
            if report and (step.number % max(settings.steps // REPORTS, 1) == 0 or step.number == settings.steps):
                validation = evaluate(task, state.parameters, task.validation_batches())
                report(f"step {step.number}/{settings.steps}  loss {step.loss:.4f}  validation {validation:.4f}")
    return Model(state.parameters, config, tokenizer)


def generate(model: Model, prompt: str = "", max_new_tokens: int = 200, seed: int = 0,
             stop: str | None = None, **settings) -> str:
    """The text with which a model continues a prompt. It ends at an end-of-text token of the model, before the text `stop`,
    or after max_new_tokens.

    prompt: if it is empty, the end-of-text token, or a new line. settings: those of generation.generate.generate_batch,
    such as temperature=0.8, top_k=40, top_p=0.9 or greedy=True.

    Raises InputError for settings out of range, a prompt that cannot be encoded, or a model that is no GPT or has no
    tokenizer.
    """
    if not isinstance(model.config, GPTConfig):
        raise InputError("generate needs a GPT: npgpt.generation.fill and npgpt.generation.translate are for other models")
    if model.tokenizer is None:
        raise InputError("this model has no tokenizer: generate ids with npgpt.generation.generate.generate")
    at_least(1, "max_new_tokens", max_new_tokens)
    rng = np.random.default_rng(at_least(0, "seed", seed))
    if stop == "":
        raise InputError("stop must not be empty")
    ids = model.tokenizer.encode(prompt) if prompt else default_prompt(model.config, model.tokenizer)
    end = model.config.end_tokens
    choices = generate_batch(model.parameters, model.config, [ids], [rng], end=end, **settings)
    tokens = (choice.token for choice, in itertools.islice(choices, max_new_tokens))
    return "".join(stream_text(itertools.takewhile(lambda token: token not in end, tokens), model.tokenizer, stop))


def at_least(least: int, name: str, value: int) -> int:
    """The value of a setting. Raises InputError, naming it, unless it is a whole number that is large enough."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of {least} or more, not {value!r}")
    return value
