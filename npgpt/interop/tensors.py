"""The tensors of a model file, for every family: which they are, and how they stand in the flat vector of parameters."""
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from npgpt.errors import InputError, listed
from npgpt.interop.families import family_of
from npgpt.interop.family import Stored
from npgpt.interop.gpt2 import POSITIONS
from npgpt.interop.heads import head_tensors
from npgpt.interop.positions import is_sinusoidal
from npgpt.interop.safetensors import as_float, is_float
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, parameter_count

PER_LAYER = 6                                   # tensors; every family has more


def prefix_in_file(names: Iterable[str], config: TransformerConfig) -> str:
    """What the names of the body's tensors begin with in a file: the family's prefix, or nothing."""
    prefix = family_of(config).prefix
    return prefix if any(name.startswith(prefix) for name in names) else ""


def stored_tensors(vector: np.ndarray, config: TransformerConfig, heads: tuple[Head, ...] = (),
                   prefix: str | None = None) -> dict[str, Stored]:
    """How each tensor of a file stands in a flat vector. prefix: of the body's names; by default the family's."""
    family = family_of(config)
    p = groups(vector, model_table(config, heads))
    body = {(family.prefix if prefix is None else prefix) + name: stored for name, stored in family.body(p, config).items()}
    return body | family.head(p, config) | head_tensors(heads, p.heads)


def tensors_as_in_file(vector: np.ndarray, config: TransformerConfig, heads: tuple[Head, ...] = ()) -> dict[str, np.ndarray]:
    """A flat vector, of parameters or their gradients, as the tensors of the file, by name. Those of another order in npgpt
    are copies. Gradients are those of npgpt's parameters, also where the file holds multiples of these.
    """
    return {name: view.reshape(shape) for name, (view, shape, _) in stored_tensors(vector, config, heads).items()}


def tensors_to_save(model: Model) -> dict[str, np.ndarray]:
    """All tensors of a model file, with sinusoidal positions, because other libraries read positions as parameters."""
    parameters, config, _, heads = model
    tensors = {name: view.reshape(shape) if factor == 1 else (view * parameters.dtype.type(factor)).reshape(shape)
               for name, (view, shape, factor) in stored_tensors(parameters, config, heads).items()}
    if has_sinusoidal_positions(config):
        positions = np.arange(config.n_positions)
        tensors[family_of(config).prefix + POSITIONS] = sinusoidal_positions(positions, config.n_embd, parameters.dtype)
    return tensors


def shapes_in_file(config: TransformerConfig, heads: tuple[Head, ...] = (),
                   prefix: str | None = None) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, by its name in the file."""
    vector = np.broadcast_to(np.float32(0), parameter_count(model_table(config, heads)))         # takes no memory
    return {name: shape for name, (_, shape, _) in stored_tensors(vector, config, heads, prefix).items()}


def parameter_tensors(tensors: Mapping[str, np.ndarray], config: TransformerConfig, heads: tuple[Head, ...],
                      prefix: str, path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file that are parameters. A tied table that has only the name of the head gets its own name.

    Raises InputError unless they have the names and shapes of the configuration's parameters. A tied head and sinusoidal
    positions may be among them.
    """
    family = family_of(config)
    table = prefix + family.table
    tensors = family.parameters_alone(tensors, config)
    moved = {family.unembedding: table} if has_tied_head(config) and table not in tensors else {}
    tensors = {moved.get(name, name): tensor for name, tensor in tensors.items() if not family.ignored.fullmatch(name)}
    if config.n_layer * PER_LAYER > len(tensors):                  # a wrong n_layer could make the list of names enormous
        raise InputError(f"{path} holds {len(tensors)} parameters: too few for n_layer {config.n_layer} of its config.json")
    possible = shapes_in_file(with_all_parameters(config), heads, prefix)
    problems = [f"{name} is missing" for name in shapes_in_file(config, heads, prefix) if name not in tensors]
    problems += [f"{name} is unexpected" for name in tensors if name not in possible]
    problems += [f"{name} has shape {tensors[name].shape} for {shape}" for name, shape in possible.items()
                 if name in tensors and tensors[name].shape != shape]
    problems += [f"{name} holds {tensor.dtype}, but weights must be floating-point numbers"
                 for name, tensor in tensors.items() if not is_float(tensor)]
    if problems:
        raise InputError(f"{path} does not match its config.json: {listed(problems)}")
    return tensors


def with_changed_parameters(tensors: Mapping[str, np.ndarray], config: TransformerConfig,
                            prefix: str) -> tuple[TransformerConfig, list[str]]:
    """The configuration, in which a tied head and sinusoidal positions become parameters if the file's differ from what
    the configuration says; and these differences.
    """
    family, differences = family_of(config), []
    table, positions = prefix + family.table, prefix + POSITIONS
    if (has_tied_head(config) and family.unembedding in tensors
            and not np.array_equal(as_float(tensors[table]), as_float(tensors[family.unembedding]))):
        config = dataclasses.replace(config, tie_word_embeddings=False)
        differences.append(f"the head is tied to the token embedding, but {family.unembedding} differs: it is kept")
    if has_sinusoidal_positions(config) and positions in tensors and not is_sinusoidal(tensors[positions]):
        config = dataclasses.replace(config, position_embedding_type="learned")
        differences.append(f"positions are sinusoidal, but {positions} differs: it is kept, as learned positions")
    return config, differences


def with_all_parameters(config: TransformerConfig) -> TransformerConfig:
    """The configuration with those too that a file may repeat: a tied head, and positions."""
    untied = {"tie_word_embeddings": False} if has_tied_head(config) else {}
    learned = {"position_embedding_type": "learned"} if has_sinusoidal_positions(config) else {}
    return dataclasses.replace(config, **untied, **learned)


def has_tied_head(config: TransformerConfig) -> bool:
    """Whether a GPT or BERT has one: the tied head of an encoder-decoder is never a parameter."""
    return isinstance(config, (GPTConfig, BertConfig)) and config.tie_word_embeddings


def has_sinusoidal_positions(config: TransformerConfig) -> bool:
    """Whether a GPT has them: the positions of a GPT's file are parameters there."""
    return isinstance(config, GPTConfig) and config.position_embedding_type == "sinusoidal"
