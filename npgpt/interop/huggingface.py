"""Model directories in the layout of Hugging Face: config.json, model.safetensors, and the files of the tokenizer."""
import dataclasses
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import errors_named, move_together, temporary_folder
from npgpt.interop import gpt2
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, WEIGHTS, read_weights, weights_file
from npgpt.json_files import read_json, write_json
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import parameter_count
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
# All files that describe a model. In a folder, files of two models must not be mixed.
MODEL_FILES = (CONFIG, WEIGHTS, INDEX, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, TOKENIZER_CONFIG,
               "special_tokens_map.json", "added_tokens.json", "generation_config.json")


def load(folder: Path | str, dtype: np.dtype | None = None) -> Model:
    """Read a model directory: parameters, configuration and, if present, the tokenizer. For dtype, see load_model."""
    parameters, config = load_model(folder, dtype)
    return Model(parameters, config, load_tokenizer(folder) if holds_tokenizer(folder) else None)


def holds_model(folder: Path) -> bool:
    return weights_file(folder) is not None


def save(folder: Path | str, model: Model) -> None:
    """Write a model directory that GPT2LMHeadModel.from_pretrained of transformers can load.

    A model that is already in the folder is replaced only after all files of the new one are on the disk.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with errors_named(folder), temporary_folder(folder / "model") as staging:
        write_model(staging, model)
        move_together(staging, folder, WEIGHTS, [INDEX])


def write_model(folder: Path, model: Model) -> None:
    """Write the files of a model directory, one after the other. Each is written completely or not at all."""
    parameters, config, tokenizer, _ = model
    write_json(folder / CONFIG, {**gpt2.fields_to_save(config), "dtype": str(parameters.dtype)})
    if tokenizer is not None:
        tokenizer.save(folder)
        write_json(folder / TOKENIZER_CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast",
                                               "model_max_length": config.n_positions,
                                               "clean_up_tokenization_spaces": False,
                                               **named_special_tokens(tokenizer, config)})
    write_safetensors(folder / WEIGHTS, gpt2.tensors_to_save(parameters, config), {"format": "pt"})


def named_special_tokens(tokenizer: Tokenizer, config: GPTConfig) -> dict[str, str]:
    """bos_token and eos_token, if they are special tokens of the tokenizer."""
    names = {token_id: token for token, token_id in getattr(tokenizer, "special_tokens", {}).items()}
    ids = {"bos_token": config.bos_token_id, "eos_token": config.eos_token_id}
    return {role: names[token_id] for role, token_id in ids.items() if token_id in names}


def load_config(folder: Path | str) -> GPTConfig:
    """Read config.json. Raises InputError for a model that npgpt does not support, naming the field."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is not a model directory: there is no {CONFIG} in it")
    return gpt2.parse_config(read_json(path), str(path))


def load_model(folder: Path | str, dtype: np.dtype | None = None) -> tuple[np.ndarray, GPTConfig]:
    """Read a model directory  ->  the flat vector of parameters, configuration

    dtype: float32 or float64; by default float64 if the file has float64 tensors, otherwise float32.

    Raises InputError for weights that do not match the configuration. Prints a warning to standard error for tensors with
    NaN or infinite values, and for a tied head that differs from the token embedding.
    """
    config = load_config(folder)
    tensors = gpt2.parameter_tensors(read_weights(folder), config)
    if config.tie_word_embeddings and gpt2.HEAD in tensors:
        warn(f"{folder}: {CONFIG} says that the head is tied to the token embedding, but {gpt2.HEAD} differs: it is kept")
        config = dataclasses.replace(config, tie_word_embeddings=False)
    require_fit(tensors, config, weights_file(folder))
    if dtype is None:
        dtype = np.result_type(np.float32, *{tensor.dtype for tensor in tensors.values()})
    parameters = np.empty(parameter_count(language_model_table(config)), dtype)
    views = gpt2.views_as_in_file(parameters, config)

    def fill(name: str) -> bool:
        views[name][...] = tensors[name].reshape(views[name].shape)
        return not np.isfinite(tensors[name]).all()

    with ThreadPoolExecutor() as pool:                              # the first access to new memory takes most of the time
        damaged = [name for name, is_damaged in zip(views, pool.map(fill, views)) if is_damaged]
    if damaged:
        warn(f"{folder}: some numbers are NaN or infinite in {', '.join(damaged[:5])}"
             f"{f' and {len(damaged) - 5} other tensors' if damaged[5:] else ''}")
    return parameters, config


def warn(message: str) -> None:
    print(f"npgpt: warning: {message}", file=sys.stderr)


def require_fit(tensors: Mapping[str, np.ndarray], config: GPTConfig, path: Path) -> None:
    """Raise InputError unless the tensors have the names and shapes of the configuration's parameters."""
    if config.n_layer > len(tensors):                              # a wrong n_layer could make the list of names enormous
        raise InputError(f"{path} holds {len(tensors)} parameters: too few for n_layer {config.n_layer} of its {CONFIG}")
    shapes = gpt2.shapes_in_file(config)
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    problems += [f"{name} is unexpected" for name in tensors if name not in shapes]
    problems += [f"{name} has shape {tensors[name].shape} for {shape}" for name, shape in shapes.items()
                 if name in tensors and tensors[name].shape != shape]
    problems += [f"{name} holds {tensor.dtype}, but weights must be floating-point numbers"
                 for name, tensor in tensors.items() if tensor.dtype.kind != "f"]
    if problems:
        raise InputError(f"{path} does not match its {CONFIG}: {'; '.join(problems)}")
