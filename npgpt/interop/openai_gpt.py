"""GPT-1 in Hugging Face's files: the tensors of OpenAIGPTLMHeadModel, and the fields of OpenAIGPTConfig."""
import dataclasses
from functools import partial

from npgpt.errors import InputError
from npgpt.interop import gpt2
from npgpt.interop.family import Family, configuration, renamed
from npgpt.interop.tokenizer_files import labelled_template
from npgpt.model.config import GPTConfig

# OpenAIGPTConfig calls the activation afn; its "gelu" is the tanh form, and so was the original code's.
SYNONYMS = {**gpt2.SYNONYMS, "afn": "activation_function"}
ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "swish"}
NAMES = {ours: name for name, ours in ACTIVATIONS.items()}
OTHERS = ("activation_function", "n_inner", "position_embedding_type", "pre_layer_norm", "qkv_bias", "window_size")
FIELDS = tuple(field.name for field in dataclasses.fields(GPTConfig) if field.name not in OTHERS)
TABLE = "tokens_embed.weight"


def parse_config(stored: dict) -> GPTConfig:
    fields = renamed({"afn": "gelu", "vocab_size": 40478, "n_positions": 512, **stored}, SYNONYMS)
    activation = fields["activation_function"]
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise InputError(f"afn must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    config = configuration(GPTConfig, fields, FIELDS)
    return dataclasses.replace(config, activation_function=ACTIVATIONS[activation], pre_layer_norm=False)


def fields(config: GPTConfig) -> dict[str, object]:
    """Raises InputError for what this format cannot hold."""
    if (config.inner != 4 * config.n_embd or config.position_embedding_type != "learned" or not config.qkv_bias
            or config.window_size or config.activation_function not in NAMES):
        raise InputError("a model with post-LN blocks is stored as OpenAIGPTModel, which has n_inner 4 n_embd, learned "
                         "positions, biases of q, k and v, no window, and one of the activation functions "
                         f"{', '.join(NAMES)}")
    return {"afn": NAMES[config.activation_function], **{name: getattr(config, name) for name in FIELDS}}


OPENAI_GPT = Family(
    model_type="openai-gpt", class_prefix="OpenAIGPT", language_model="LMHeadModel", parse_config=parse_config,
    fields=fields, prefix="transformer.", body=partial(gpt2.body, tokens=TABLE, positions="positions_embed.weight"),
    head=gpt2.head, table=TABLE, unembedding=gpt2.UNEMBEDDING, template=labelled_template)
