"""Model directories in the layout of Hugging Face: config.json, model.safetensors, and the files of the tokenizer."""
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from npgpt.errors import InputError
from npgpt.files import errors_named, move_together, temporary_folder
from npgpt.interop.families import family_in_file, family_of
from npgpt.interop.family import tokens_that_occur
from npgpt.interop.heads import head_fields, parse_heads
from npgpt.interop.safetensors import as_float, release, write_safetensors
from npgpt.interop.tensors import (parameter_tensors, prefix_in_file, stored_tensors, tensors_to_save,
                                   with_changed_parameters)
from npgpt.interop.tokenizer_files import tokenizer_config
from npgpt.interop.weights import INDEX, WEIGHTS, read_weights, weights_file
from npgpt.json_files import read_json, write_json
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import parameter_count
from npgpt.terminal import harmless
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer
from npgpt.text.word_piece import VOCABULARY_TEXT

CONFIG, GENERATION_CONFIG, TOKENIZER_CONFIG = "config.json", "generation_config.json", "tokenizer_config.json"
# All files that describe a model. In a folder, files of two models must not be mixed.
MODEL_FILES = (CONFIG, WEIGHTS, INDEX, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, VOCABULARY_TEXT, TOKENIZER_CONFIG,
               "special_tokens_map.json", "added_tokens.json", GENERATION_CONFIG)
USES = {GPTConfig: "a GPT, which generates text: npgpt generate",
        BertConfig: "a masked language model: npgpt fill uses it, and npgpt train --objective masked trains it",
        EncoderDecoderConfig: "an encoder-decoder, which translates: npgpt translate"}


def load(folder: Path | str, dtype: DTypeLike | None = None) -> Model:
    """Read a model directory: parameters, configuration, heads and, if present, the tokenizer.

    dtype: float32 or float64; by default float64 if the file has float64 tensors, otherwise float32.

    Raises InputError for weights that do not match the configuration. Prints a warning to standard error for tensors with
    NaN or infinite values, for a tied head that differs from the token embedding, and for sinusoidal positions that
    differ from the formula.
    """
    config, heads = load_description(folder)
    parameters, config = load_parameters(Path(folder), config, heads, dtype)
    return Model(parameters, config, load_tokenizer(folder) if holds_tokenizer(folder) else None, heads)


def load_model(folder: Path | str, dtype: DTypeLike | None = None,
               kinds: type | tuple[type, ...] = GPTConfig) -> tuple[np.ndarray, TransformerConfig]:
    """Read a language model, as load does  ->  the flat vector of its parameters, configuration

    The parameters of further heads, which stand at the end of the vector, are left out. kinds: the classes of configurations
    that the caller can use. Raises InputError for a model of another kind, and for a BERT with other heads, which does not
    predict tokens.
    """
    config, heads = load_description(folder)
    require_kind(folder, config, kinds)
    if heads and isinstance(config, BertConfig):
        raise InputError(f"{folder} holds a BERT with a head for {heads[0].kind}, which does not predict tokens any more")
    parameters, config = load_parameters(Path(folder), config, heads, dtype)
    return parameters[:parameter_count(model_table(config))], config


def require_kind(folder: Path | str, config: TransformerConfig, kinds: type | tuple[type, ...]) -> None:
    """Raise InputError, saying what a model can be used for, unless its configuration is of one of these classes."""
    if not isinstance(config, kinds):
        raise InputError(f"{folder} holds {USES[type(config)]}")


def holds_model(folder: Path) -> bool:
    return weights_file(folder) is not None


def save(folder: Path | str, model: Model) -> None:
    """Write a model directory that from_pretrained of transformers can load.

    A model that is already in the folder is replaced only after all files of the new one are on the disk.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with errors_named(folder), temporary_folder(folder / "model") as staging:
        write_model(staging, model)
        move_together(staging, folder, WEIGHTS, [INDEX, GENERATION_CONFIG])


def write_model(folder: Path, model: Model) -> None:
    """Write the files of a model directory, one after the other. Each is written completely or not at all."""
    parameters, config, tokenizer, heads = model
    family = family_of(config)
    write_json(folder / CONFIG, {"model_type": family.model_type, **head_fields(family, heads), **family.fields(config),
                                 "dtype": str(parameters.dtype)})
    if tokenizer is not None:
        tokenizer.save(folder)
        if template := family.template(tokenizer, config, heads):
            write_json(folder / TOKENIZER_FILE, {**read_json(folder / TOKENIZER_FILE), **template})
        write_json(folder / TOKENIZER_CONFIG, tokenizer_config(tokenizer, config, family.inputs))
    write_safetensors(folder / WEIGHTS, tensors_to_save(model), {"format": "pt"})


def load_config(folder: Path | str) -> TransformerConfig:
    """Read config.json, as load_description does  ->  configuration"""
    return load_description(folder)[0]


def load_description(folder: Path | str) -> tuple[TransformerConfig, tuple[Head, ...]]:
    """Read config.json  ->  configuration, and the heads beside the language-model head

    The tokens that end a text are those of generation_config.json, if there is one, as in transformers' generate. Raises
    InputError for a model that npgpt does not support, naming the field.
    """
    require_folder(folder)
    path, generation = Path(folder) / CONFIG, Path(folder) / GENERATION_CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is not a model directory: there is no {CONFIG} in it")
    stored = read_json(path)
    try:
        family = family_in_file(stored)
        config, heads = family.parse_config(stored), parse_heads(stored, family)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if generation.is_file():
        try:
            end = tokens_that_occur(read_json(generation).get("eos_token_id"), config.vocab_size)
            config = dataclasses.replace(config, eos_token_id=end)
        except InputError as error:
            raise InputError(f"{generation}: {error}") from None
    return config, heads


def require_folder(folder: Path | str) -> None:
    """Raise InputError, saying how to get a model, unless the folder exists."""
    if not Path(folder).exists():
        raise InputError(f"the folder {folder} does not exist; a model from huggingface.co is downloaded first: "
                         "'hf download openai-community/gpt2 --local-dir gpt2'")
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is not a folder")


def load_parameters(folder: Path, config: TransformerConfig, heads: tuple[Head, ...],
                    dtype: DTypeLike | None) -> tuple[np.ndarray, TransformerConfig]:
    """The flat vector of all parameters, and the configuration as the weights show it to be."""
    tensors = read_weights(folder)
    prefix = prefix_in_file(tensors, config)
    tensors = parameter_tensors(tensors, config, heads, prefix, weights_file(folder))
    config, differences = with_changed_parameters(tensors, config, prefix)
    for difference in differences:
        warn(f"{folder}: {CONFIG} says that {difference}")
    if dtype is None:
        dtype = np.float64 if any(tensor.dtype == np.float64 for tensor in tensors.values()) else np.float32
    parameters = np.empty(parameter_count(model_table(config, heads)), dtype)
    places = stored_tensors(parameters, config, heads, prefix)

    def fill(name: str) -> bool:
        tensor, (view, _, factor) = as_float(tensors[name]), places[name]
        view[...] = tensor.reshape(view.shape)
        if factor != 1:
            view *= 1 / factor
        damaged = not np.isfinite(tensor).all()
        release(tensors[name])                                     # or the model would be in memory twice
        return damaged

    with ThreadPoolExecutor() as pool:                              # the first access to new memory takes most of the time
        damaged = [name for name, is_damaged in zip(places, pool.map(fill, places)) if is_damaged]
    if damaged:
        warn(f"{folder}: some numbers are NaN or infinite in {', '.join(damaged[:5])}"
             f"{f' and {len(damaged) - 5} other tensors' if damaged[5:] else ''}")
    return parameters, config


def warn(message: str) -> None:
    print(f"npgpt: warning: {harmless(message, sys.stderr)}", file=sys.stderr)
