"""Model directories in Hugging Face's layout: config.json, model.safetensors, and the tokenizer's files."""
import dataclasses
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import errors_named, move_together, read_json, temporary_folder, write_json
from npgpt.interop import gpt2
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, WEIGHTS, read_weights, weights_file
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import parameter_count
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer
from npgpt.text.tokenizer_json import TOKENIZER_FILE

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
# What belongs to a model in a folder: with another model's it would be read wrongly.
MODEL_FILES = (CONFIG, WEIGHTS, INDEX, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, TOKENIZER_CONFIG,
               "special_tokens_map.json", "added_tokens.json", "generation_config.json")


def load(folder: Path | str, dtype: np.dtype | None = None) -> Model:
    """Read a model directory: parameters, configuration, and the tokenizer where there is one. As load_model otherwise."""
    parameters, config = load_model(folder, dtype)
    return Model(parameters, config, load_tokenizer(folder) if holds_tokenizer(folder) else None)


def save(folder: Path | str, model: Model) -> None:
    """Write a model directory that transformers opens. As save_model."""
    save_model(folder, *model)


def holds_model(folder: Path) -> bool:
    return weights_file(folder) is not None


def save_model(folder: Path, parameters: np.ndarray, config: GPTConfig, tokenizer: Tokenizer | None = None) -> None:
    """Write a model directory that GPT2LMHeadModel.from_pretrained opens.

    A model that is there already is replaced only when all of the new one is on the disk. Raises OSError,
    naming the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with errors_named(folder), temporary_folder(folder / "model") as staging:
        write_model(staging, parameters, config, tokenizer)
        move_together(staging, folder, WEIGHTS, [INDEX])


def write_model(folder: Path, parameters: np.ndarray, config: GPTConfig, tokenizer: Tokenizer | None) -> None:
    """The files of a model directory, one after the other, each whole."""
    write_json(folder / CONFIG, {**gpt2.fields_to_save(config), "dtype": str(parameters.dtype)})
    if tokenizer is not None:
        tokenizer.save(folder)
        write_json(folder / TOKENIZER_CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast",
                                               "model_max_length": config.n_positions,
                                               "clean_up_tokenization_spaces": False,
                                               **named_special_tokens(tokenizer, config)})
    write_safetensors(folder / WEIGHTS, gpt2.tensors_to_save(parameters, config), {"format": "pt"})


def named_special_tokens(tokenizer: Tokenizer, config: GPTConfig) -> dict[str, str]:
    """bos_token and eos_token, where they are special tokens of the tokenizer."""
    names = {token_id: token for token, token_id in getattr(tokenizer, "special_tokens", {}).items()}
    ids = {"bos_token": config.bos_token_id, "eos_token": config.eos_token_id}
    return {role: names[token_id] for role, token_id in ids.items() if token_id in names}


def load_config(folder: Path | str) -> GPTConfig:
    """Read config.json. Raises InputError for a model that npgpt does not compute, naming the field."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is no model directory: there is no {CONFIG} in it")
    return gpt2.parse_config(read_json(path), str(path))


def load_model(folder: Path | str, dtype: np.dtype | None = None) -> tuple[np.ndarray, GPTConfig]:
    """Read a model directory  ->  the flat vector of parameters, configuration

    dtype: float32 or float64; by default float64 where the file has it, else float32. Raises InputError for a directory
    that holds no model, and for weights that do not fit the configuration: all that is missing, unexpected or of a wrong
    shape is named. Parameters that are NaN or infinite are named on standard error, and so is a head that should be the
    table of tokens but differs from it.
    """
    config = load_config(folder)
    tensors = gpt2.parameter_tensors(read_weights(folder), config)
    if config.tie_word_embeddings and gpt2.HEAD in tensors:
        warn(f"{folder}: {CONFIG} says that the head is the table of tokens, but {gpt2.HEAD} differs from it: it is kept")
        config = dataclasses.replace(config, tie_word_embeddings=False)
    require_fit(tensors, config, weights_file(folder))
    if dtype is None:
        dtype = np.result_type(np.float32, *{tensor.dtype for tensor in tensors.values()})
    parameters = np.empty(parameter_count(language_model_table(config)), dtype)
    views = gpt2.views_as_in_file(parameters, config)

    def fill(name: str) -> bool:
        views[name][...] = tensors[name].reshape(views[name].shape)
        return holds_infinities(tensors[name])

    with ThreadPoolExecutor() as pool:                              # most of the time is the first access to new memory
        damaged = [name for name, holds in zip(views, pool.map(fill, views)) if holds]
    if damaged:
        warn(f"{folder}: some numbers are NaN or infinite in {', '.join(damaged[:5])}"
             f"{f' and {len(damaged) - 5} other tensors' if damaged[5:] else ''}")
    return parameters, config


def warn(message: str) -> None:
    print(f"npgpt: warning: {message}", file=sys.stderr)


def require_fit(tensors: Mapping[str, np.ndarray], config: GPTConfig, path: Path) -> None:
    """Raise InputError unless the tensors are the parameters of the configuration, in name and shape."""
    if config.n_layer > len(tensors):                              # before a list of a lying n_layer's names is made
        raise InputError(f"{path} holds {len(tensors)} parameters: too few for n_layer {config.n_layer} of its {CONFIG}")
    shapes = gpt2.shapes_in_file(config)
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    problems += [f"{name} is unexpected" for name in tensors if name not in shapes]
    problems += [f"{name} has shape {tensors[name].shape} for {shape}" for name, shape in shapes.items()
                 if name in tensors and tensors[name].shape != shape]
    problems += [f"{name} holds {tensor.dtype}, and weights are fractions" for name, tensor in tensors.items()
                 if tensor.dtype.kind != "f"]
    if problems:
        raise InputError(f"{path} does not fit its {CONFIG}: {'; '.join(problems)}")


def holds_infinities(tensor: np.ndarray) -> bool:
    """Whether a tensor holds NaN or infinity. The sum of squares tells at the speed of memory; only where that
    overflows is every number examined."""
    flat = tensor.reshape(-1)
    with np.errstate(all="ignore"):
        return not np.isfinite(flat @ flat) and not np.isfinite(flat).all()
