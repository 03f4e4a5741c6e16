"""What tests in several rooms draw and compute."""
import json
import shutil
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from npgpt.checking.layer import check_layer
from npgpt.generation.kv_cache import KeyValueCache, empty_cache
from npgpt.interop.huggingface import WEIGHTS
from npgpt.layers.embedding import unembedding
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_head, language_model_table
from npgpt.model.parameters import groups, initial_parameters
from npgpt.runs.checkpoint import MOMENTS, RECORD
from npgpt.runs.metrics import METRICS_FILE
from npgpt.tasks.language_modelling import TokenBatch

seeds = st.integers(0, 10**6)
small_configs = st.builds(
    lambda heads, width, **fields: GPTConfig(n_head=heads, n_embd=heads * width, vocab_size=7, initializer_range=0.5, **fields),
    heads=st.integers(1, 3), width=st.integers(1, 4), n_positions=st.integers(3, 12), n_layer=st.integers(1, 3),
    n_inner=st.none() | st.integers(1, 5), activation_function=st.sampled_from(["gelu_new", "relu"]),
    layer_norm_epsilon=st.sampled_from([1e-5, 0.5]), tie_word_embeddings=st.booleans(),
    position_embedding_type=st.sampled_from(["learned", "sinusoidal"]), pre_layer_norm=st.booleans(), qkv_bias=st.booleans(),
    window_size=st.none() | st.integers(1, 5))
precisions = st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)])      # dtype, and the tolerance that goes with it


def draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Normally distributed arrays, one of each shape."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def draw_tokens(config: GPTConfig, B: int, T: int, seed: int = 0) -> TokenBatch:
    """Ids (B, T) and targets (B, T) that have nothing to do with each other."""
    return TokenBatch(*np.random.default_rng(seed).integers(config.vocab_size, size=(2, B, T)))


def language_model(config: GPTConfig, seed: int = 0, dtype: np.dtype = np.float32) -> np.ndarray:
    """The parameters that a language model starts from, as a flat vector."""
    return initial_parameters(language_model_table(config), seed, dtype)


def logits_of(ids: np.ndarray, parameters: np.ndarray, config: GPTConfig,
              rng: np.random.Generator | None = None, **settings) -> np.ndarray:
    """ids (B, T)  ->  logits (B, T, V), without a cache, by the plain layers; settings are those of gpt."""
    p = groups(parameters, language_model_table(config))
    x, _ = gpt(ids, p, config, rng, **settings)
    return unembedding(x, language_model_head(p))[0]


def write_tokens(folder: Path, train: np.ndarray, validation: np.ndarray) -> None:
    """Token files in a folder, as nanoGPT's prepare.py writes them."""
    folder.mkdir(exist_ok=True)
    train.astype("<u2").tofile(folder / "train.bin")
    validation.astype("<u2").tofile(folder / "val.bin")


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content of a file with up to four bytes replaced."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    return bytes(content)


def unwritten_cache(config: GPTConfig, texts: int, dtype: np.dtype) -> KeyValueCache:
    """A cache that is NaN wherever nothing was written yet, so that whoever reads there computes NaN."""
    cache = empty_cache(config, texts, config.n_positions, dtype)
    for array in cache.arrays():
        array[...] = np.nan
    return cache


def require_close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal up to the tolerance times the largest entry expected, or times 1 where that is smaller."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.nanmax(abs(expected)), 1))


def require_gradients(forward, backward, *arguments, **settings) -> None:
    """check_layer by both methods, whatever forward is: the layers are analytic. Raises GradientError if anything is wrong."""
    check_layer(forward, backward, *arguments, methods=["complex", "central"], **settings).require()


def separate_qkv(array, n_head):
    """w_qkv (C, 3A) or b_qkv (3A,)  ->  (3, C, A) or (3, A): those of the queries, of the keys, of the values"""
    by_head = array.reshape(*array.shape[:-1], n_head, 3, -1)
    return np.stack([by_head[..., i, :].reshape(*array.shape[:-1], -1) for i in range(3)])


def history(run):
    """metrics.jsonl without the times."""
    lines = [json.loads(line) for line in (run / METRICS_FILE).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds" and not key.endswith("_per_second")} for line in lines]


def end_state(run):
    """The result of a finished run, without the times."""
    newest = max((run / "checkpoints").iterdir())
    record = json.loads((newest / RECORD).read_text())
    return {"model": (run / WEIGHTS).read_bytes(), "moments": (newest / MOMENTS).read_bytes(), "history": history(run),
            **{name: record[name] for name in ("step", "updates", "generators", "best", "norms")}}


def forget(run, after):
    """Remove the checkpoints after a step, as if a crash had prevented them."""
    for folder in (run / "checkpoints").iterdir():
        if int(folder.name.removeprefix("step-")) > after:
            shutil.rmtree(folder)
