"""GPT-2 in Hugging Face's files: the parameters of GPT2LMHeadModel, and the fields of GPT2Config.

The columns of w_qkv are in another order: in the files those of all queries, then of all keys, then of all values; in npgpt
those of the first head's query, key and value, then of the second's, and so on.
"""
import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.model.config import GPTConfig, is_integer
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_leaves, named_views

ARCHITECTURE = "GPT2LMHeadModel"
PREFIX = "transformer."                         # of all names except the untied head's; some files omit it
NAMES = {"wte": "wte.weight", "wpe": "wpe.weight", "ln_f.gain": "ln_f.weight", "ln_f.bias": "ln_f.bias"}
BLOCK_NAMES = {"ln_1.gain": "ln_1.weight", "ln_1.bias": "ln_1.bias",
               "attn.w_qkv": "attn.c_attn.weight", "attn.b_qkv": "attn.c_attn.bias",
               "attn.w_proj": "attn.c_proj.weight", "attn.b_proj": "attn.c_proj.bias",
               "ln_2.gain": "ln_2.weight", "ln_2.bias": "ln_2.bias",
               "mlp.w_up": "mlp.c_fc.weight", "mlp.b_up": "mlp.c_fc.bias",
               "mlp.w_down": "mlp.c_proj.weight", "mlp.b_down": "mlp.c_proj.bias"}
HEAD, TOKEN_EMBEDDING, POSITIONS = "lm_head.weight", PREFIX + "wte.weight", PREFIX + "wpe.weight"
CAUSAL_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")       # buffers in old files, not parameters
# Settings of GPT2Config that change the computation, each with the only value that npgpt supports.
FIXED = {"model_type": "gpt2", "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
         "reorder_and_upcast_attn": False, "add_cross_attention": False}
# Other names that GPT2Config accepts. n_ctx is not included: it has no effect, and in many files it has another value.
SYNONYMS = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer"}


def name_in_file(name: str) -> str:
    """blocks.0.attn.w_qkv -> transformer.h.0.attn.c_attn.weight"""
    if name == "head":
        return HEAD
    if name in NAMES:
        return PREFIX + NAMES[name]
    _, i, rest = name.split(".", 2)
    return f"{PREFIX}h.{i}.{BLOCK_NAMES[rest]}"


def shapes_in_file(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, by its name in the file."""
    return {name_in_file(name): row.shape for name, row in named_leaves(language_model_table(config))}


def views_as_in_file(vector: np.ndarray, config: GPTConfig) -> dict[str, np.ndarray]:
    """Views of a flat vector, by their names in the file. Their entries have the file's order, but maybe another shape."""
    H = config.n_head
    return {name_in_file(name): view.reshape(*view.shape[:-1], H, 3, -1).swapaxes(-3, -2) if name.endswith("_qkv") else view
            for name, view in named_views(vector, language_model_table(config)).items()}


def tensors_as_in_file(vector: np.ndarray, config: GPTConfig) -> dict[str, np.ndarray]:
    """A flat vector, of parameters or their gradients, as the tensors of the file, by name. Those of another order in npgpt
    are copies.
    """
    shapes = shapes_in_file(config)
    return {name: view.reshape(shapes[name]) for name, view in views_as_in_file(vector, config).items()}


def tensors_to_save(parameters: np.ndarray, config: GPTConfig) -> dict[str, np.ndarray]:
    """All tensors of a model file, with sinusoidal positions, because other libraries read positions as parameters."""
    tensors = tensors_as_in_file(parameters, config)
    if config.position_embedding_type == "sinusoidal":
        tensors[POSITIONS] = sinusoidal_positions(np.arange(config.n_positions), config.n_embd, parameters.dtype)
    return tensors


def parameter_tensors(tensors: Mapping[str, np.ndarray], config: GPTConfig) -> dict[str, np.ndarray]:
    """The parameters in a file, by their full names: without mask buffers and sinusoidal positions. Raises InputError."""
    full = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(PREFIX)
        if CAUSAL_MASK.fullmatch(short) or PREFIX + short == POSITIONS and config.position_embedding_type == "sinusoidal":
            continue
        long = short if short == HEAD else PREFIX + short
        if long in full:
            raise InputError(f"the weights hold {short!r} twice: with {PREFIX!r} before it and without")
        full[long] = tensor
    return without_tied_head(full) if config.tie_word_embeddings else full


def without_tied_head(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove a tied head that equals the token embedding, or rename it if the embedding is missing. Keep one that differs."""
    if HEAD not in tensors or not np.array_equal(tensors.get(TOKEN_EMBEDDING, tensors[HEAD]), tensors[HEAD]):
        return tensors
    return {TOKEN_EMBEDDING: tensors[HEAD]} | {name: tensor for name, tensor in tensors.items() if name != HEAD}


def fields_to_save(config: GPTConfig) -> dict[str, object]:
    return {"architectures": [ARCHITECTURE], **FIXED, **dataclasses.asdict(config)}


def parse_config(stored: dict, where: str) -> GPTConfig:
    """Check the content of config.json. Raises InputError for a model that npgpt does not support, naming the field."""
    for name, value in FIXED.items():
        if stored.get(name, value) != value:
            raise InputError(f"{where}: {name} is {stored[name]!r}; npgpt supports {value!r} only")
    for synonym, name in SYNONYMS.items():
        if synonym in stored and stored.setdefault(name, stored[synonym]) != stored[synonym]:
            raise InputError(f"{where}: {synonym} is {stored[synonym]!r} where {name} is {stored[name]!r}; "
                             "both mean the same size")
    known = {field.name for field in dataclasses.fields(GPTConfig)}
    fields = {name: value for name, value in stored.items() if name in known}
    for name in ("bos_token_id", "eos_token_id"):
        if never_occurs(fields.get(name), fields.get("vocab_size")):
            fields[name] = None
    try:
        return GPTConfig(**fields)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def never_occurs(token: object, vocab_size: object) -> bool:
    """Whether a token id is outside the vocabulary: transformers writes GPT-2's 50256 for smaller vocabularies too."""
    return is_integer(token) and is_integer(vocab_size) and token >= vocab_size
