"""Duration: how long training will take, measured on a few steps."""
import contextlib
import dataclasses
import statistics

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.gpt import attention_windows
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.tasks.task import Task
from npgpt.text.corpus import Corpus
from npgpt.training.footprint import without_breakpoints
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import initial_state, train

LARGEST = 5e10         # operations of a step that is measured as it is: less than a second on most machines
SECONDS = 1.0          # how long steps are measured
LEAST = 3              # steps, of which the first one is not counted: it is slower
PER_UPDATE = 400       # operations of a matrix product that take as long as the update of a parameter


def step_seconds(config: GPTConfig, settings: TrainingSettings, threads: int, dtype: np.dtype) -> float:
    """Seconds of a training step of a language model on batches of whole contexts.

    A step of a large model is measured with fewer sequences, layers and tokens, and scaled up by the operations.
    """
    part, batch_size = reduced(config, settings.batch_size, threads)
    whole = settings.accumulate * gradient_operations(config, settings.batch_size) + update_operations(config)
    return measured_seconds(part, batch_size, threads, dtype) * whole / operations(part, batch_size)


def reduced(config: GPTConfig, batch_size: int, threads: int) -> tuple[GPTConfig, int]:
    """A smaller model and a batch size for which a step is measured quickly; still an example for each thread, if there
    were as many, because fewer are computed in another way. Only where a single layer is too large, it has fewer heads.
    """
    while operations(config, batch_size) > LARGEST:
        if batch_size > threads:
            batch_size = max(batch_size // 2, threads)
            continue
        name = next((name for name, least in (("n_layer", 1), ("vocab_size", 1024), ("n_positions", 64))
                     if getattr(config, name) > least), None)
        if name is None:
            config = narrower(config)
        else:
            config = dataclasses.replace(config, **{name: getattr(config, name) // 2}, bos_token_id=None, eos_token_id=None)
    return config, batch_size


def narrower(config: GPTConfig) -> GPTConfig:
    """Half the heads, of as many channels as before; or half the channels, if there is one head."""
    H, D = config.n_head, config.n_embd // config.n_head
    C = H // 2 * D if H > 1 else max(D // 2, 1)
    inner = None if config.n_inner is None else max(config.n_inner * C // config.n_embd, 1)
    return dataclasses.replace(config, n_head=max(H // 2, 1), n_embd=C, n_inner=inner)


def operations(config: GPTConfig, batch_size: int) -> float:
    """Floating-point operations of a training step, those of element-wise functions left out."""
    return gradient_operations(config, batch_size) + update_operations(config)


def gradient_operations(config: GPTConfig, batch_size: int) -> float:
    """Each weight of a matrix takes part in a multiplication and an addition for each token, in the forward pass and twice
    in the backward pass; so does each channel with each position that is attended to, in both products of attention.
    """
    C, T = config.n_embd, config.n_positions
    attended = sum(min(window or T, T) for window in attention_windows(config))
    weights = config.n_layer * (4 * C * C + 2 * C * config.inner) + config.vocab_size * C
    return 6 * batch_size * T * (weights + 2 * C * attended)


def update_operations(config: GPTConfig) -> float:
    return PER_UPDATE * parameter_count(language_model_table(config))


def measured_seconds(config: GPTConfig, batch_size: int, threads: int, dtype: np.dtype) -> float:
    """Of a step on random tokens."""
    ids = np.random.default_rng(0).integers(config.vocab_size, size=4 * config.n_positions + 1)
    return median_seconds(LanguageModelling(config, Corpus(ids, ids)), batch_size, threads, dtype)


def task_step_seconds(task: Task, settings: TrainingSettings, threads: int, dtype: np.dtype) -> float:
    """Seconds of a training step of any task, on batches of its own data.

    Of a large batch some examples are measured, and scaled up by the operations, which are taken to be 6 for each parameter
    and token.
    """
    tokens, batch_size = task.largest_batch(1)[0].size, settings.batch_size
    while batch_size > threads and 6 * parameter_count(task.table) * tokens * batch_size > LARGEST:
        batch_size = max(batch_size // 2, threads)
    whole = settings.accumulate * 6 * tokens * settings.batch_size + PER_UPDATE
    return median_seconds(task, batch_size, threads, dtype) * whole / (6 * tokens * batch_size + PER_UPDATE)


def median_seconds(task: Task, batch_size: int, threads: int, dtype: np.dtype) -> float:
    """Seconds of a step on a task's own training batches: the median over a few."""
    settings = TrainingSettings(batch_size=batch_size, learning_rate=0.0)
    state = initial_state(initial_parameters(task.table, dtype=dtype), task, settings, threads)
    ends = []
    with (contextlib.closing(state.optimiser), without_breakpoints(),
          parallel_gradients(task, threads) as loss_and_gradients):
        for _ in train(state, task, settings, loss_and_gradients):
            ends.append(state.seconds)
            if len(ends) >= LEAST and state.seconds > SECONDS:
                break
    return statistics.median(end - start for start, end in zip(ends, ends[1:]))
