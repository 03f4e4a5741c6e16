"""Model directories in Hugging Face's layout: config.json, model.safetensors, and the tokenizer's files."""
import dataclasses
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import errors_named, move_together, read_json, temporary_folder, write_json
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, WEIGHTS, read_weights, weights_file
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.model.config import GPTConfig, is_integer
from npgpt.model.parameters import PREFIX, named_views, parameter_count, parameter_shapes
from npgpt.text.byte_pair_files import MERGES, VOCABULARY
from npgpt.text.tokenizer import FILE as TOKENIZER, Tokenizer

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
# What belongs to a model in a folder: with another model's it would be read wrongly.
MODEL_FILES = (CONFIG, WEIGHTS, INDEX, TOKENIZER, VOCABULARY, MERGES, TOKENIZER_CONFIG, "special_tokens_map.json",
               "added_tokens.json", "generation_config.json")
HEAD, TABLE = "lm_head.weight", PREFIX + "wte.weight"
CAUSAL_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")       # buffers of old files, no parameters
# Settings of GPT2Config that change what is computed and that npgpt has in this one form only.
FIXED = {"model_type": "gpt2", "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
         "reorder_and_upcast_attn": False, "add_cross_attention": False}
# Other names that GPT2Config takes for the same. n_ctx is none: many files hold one that differs, and it means nothing.
SYNONYMS = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer"}


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
    tensors = dict(named_views(parameters, config))
    if config.position_embedding_type == "sinusoidal":              # others have them as parameters
        tensors[PREFIX + "wpe.weight"] = sinusoidal_positions(config.n_positions, config.n_embd, parameters.dtype)
    fields = dataclasses.asdict(config)
    write_json(folder / CONFIG, {"architectures": ["GPT2LMHeadModel"], **FIXED, **fields, "dtype": str(parameters.dtype)})
    if tokenizer is not None:
        tokenizer.save(folder)
        write_json(folder / TOKENIZER_CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast",
                                               "model_max_length": config.n_positions,
                                               "clean_up_tokenization_spaces": False,
                                               **named_special_tokens(tokenizer, config)})
    write_safetensors(folder / WEIGHTS, tensors, {"format": "pt"})


def named_special_tokens(tokenizer: Tokenizer, config: GPTConfig) -> dict[str, str]:
    """bos_token and eos_token, where they are special tokens of the tokenizer."""
    names = {token_id: token for token, token_id in getattr(tokenizer, "special_tokens", {}).items()}
    ids = {"bos_token": config.bos_token_id, "eos_token": config.eos_token_id}
    return {role: names[token_id] for role, token_id in ids.items() if token_id in names}


def load_config(folder: Path) -> GPTConfig:
    """Read config.json. Raises InputError for a model that npgpt does not compute, naming the field."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is no model directory: there is no {CONFIG} in it")
    stored = read_json(path)
    for name, value in FIXED.items():
        if stored.get(name, value) != value:
            raise InputError(f"{path}: {name} is {stored[name]!r}; npgpt knows {value!r} only")
    for synonym, name in SYNONYMS.items():
        if synonym in stored and stored.setdefault(name, stored[synonym]) != stored[synonym]:
            raise InputError(f"{path}: {synonym} is {stored[synonym]!r} where {name} is {stored[name]!r}; both are the same size")
    known = {field.name for field in dataclasses.fields(GPTConfig)}
    fields = {name: value for name, value in stored.items() if name in known}
    for name in ("bos_token_id", "eos_token_id"):
        if never_occurs(fields.get(name), fields.get("vocab_size")):
            fields[name] = None
    try:
        return GPTConfig(**fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def never_occurs(token: object, vocab_size: object) -> bool:
    """Whether a token id lies past the vocabulary: transformers writes GPT-2's 50256 for smaller ones too."""
    return is_integer(token) and is_integer(vocab_size) and token >= vocab_size


def load_model(folder: Path, dtype: np.dtype | None = None) -> tuple[np.ndarray, GPTConfig]:
    """Read a model directory  ->  the flat vector of parameters, configuration

    dtype: float32 or float64; by default float64 where the file has it, else float32. Names may stand
    with the prefix "transformer." or without. Raises InputError for a directory that is no model, and
    for weights that do not fit the configuration: all that is missing, unexpected or misshapen is named.
    Weights that are no finite numbers are named on standard error, and so is a head that is not the table.
    """
    config = load_config(folder)
    tensors = parameters_of(read_weights(folder), config)
    if config.tie_word_embeddings:
        tensors = without_tied_head(tensors)
    if config.tie_word_embeddings and HEAD in tensors:
        warn(f"{folder}: {CONFIG} says that the head is the table of tokens, but {HEAD} differs from it: it is kept")
        config = dataclasses.replace(config, tie_word_embeddings=False)
    require_fit(tensors, config, weights_file(folder))
    if dtype is None:
        dtype = np.result_type(np.float32, *{tensor.dtype for tensor in tensors.values()})
    parameters = np.empty(parameter_count(config), dtype)
    views = named_views(parameters, config)

    def fill(name: str) -> bool:
        views[name][...] = tensors[name]
        return holds_infinities(views[name])

    with ThreadPoolExecutor() as pool:                              # most of the time goes into the first touch of memory
        damaged = [name for name, holds in zip(views, pool.map(fill, views)) if holds]
    if damaged:
        warn(f"{folder}: not all numbers are finite in {', '.join(damaged[:5])}"
             f"{f' and {len(damaged) - 5} other tensors' if damaged[5:] else ''}")
    return parameters, config


def warn(message: str) -> None:
    print(f"npgpt: warning: {message}", file=sys.stderr)


def require_fit(tensors: Mapping[str, np.ndarray], config: GPTConfig, path: Path) -> None:
    """Raise InputError unless the tensors are the parameters of the configuration, in name and shape."""
    if config.n_layer > len(tensors):                              # before a list of a lying n_layer's names is made
        raise InputError(f"{path} holds {len(tensors)} parameters: too few for n_layer {config.n_layer} of its {CONFIG}")
    shapes = parameter_shapes(config)
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    problems += [f"{name} is unexpected" for name in tensors if name not in shapes]
    problems += [f"{name} has shape {tensors[name].shape} for {shape}" for name, shape in shapes.items()
                 if name in tensors and tensors[name].shape != shape]
    problems += [f"{name} holds {tensor.dtype}, and weights are fractions" for name, tensor in tensors.items()
                 if tensor.dtype.kind != "f"]
    if problems:
        raise InputError(f"{path} does not fit its {CONFIG}: {'; '.join(problems)}")


def holds_infinities(tensor: np.ndarray) -> bool:
    """Whether a tensor holds NaN or infinity. The sum of squares tells at the speed of memory; only where it
    overflows is every number looked at."""
    flat = tensor.reshape(-1)
    with np.errstate(all="ignore"):
        return not np.isfinite(flat @ flat) and not np.isfinite(flat).all()


def parameters_of(tensors: dict[str, np.ndarray], config: GPTConfig) -> dict[str, np.ndarray]:
    """The tensors that are parameters, under their full names: no mask buffers, no positions that are computed.

    Raises InputError where one stands there twice, with the prefix and without.
    """
    full = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(PREFIX)
        if CAUSAL_MASK.fullmatch(short) or short == "wpe.weight" and config.position_embedding_type == "sinusoidal":
            continue
        long = short if short == HEAD else PREFIX + short
        if long in full:
            raise InputError(f"the weights hold {short!r} twice: with {PREFIX!r} before it and without")
        full[long] = tensor
    return full


def without_tied_head(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The table of tokens stands for both, where the head is the same or the table is missing. A head that differs
    stays: transformers computes with it too."""
    if HEAD not in tensors or not np.array_equal(tensors.get(TABLE, tensors[HEAD]), tensors[HEAD]):
        return tensors
    return {TABLE: tensors[HEAD]} | {name: tensor for name, tensor in tensors.items() if name != HEAD}
