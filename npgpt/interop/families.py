"""All families of models that npgpt reads and writes, and which of them a configuration belongs to."""
from collections.abc import Mapping

from npgpt.errors import InputError
from npgpt.interop.bert import BERT
from npgpt.interop.family import Family
from npgpt.interop.gpt2 import GPT2
from npgpt.interop.gpt_neo import GPT_NEO
from npgpt.interop.marian import MARIAN
from npgpt.interop.openai_gpt import OPENAI_GPT
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import TransformerConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig

FAMILIES = {family.model_type: family for family in (OPENAI_GPT, GPT2, GPT_NEO, BERT, MARIAN)}


def family_in_file(stored: Mapping) -> Family:
    """The family that config.json names. Raises InputError if npgpt does not have it."""
    model_type = stored.get("model_type", GPT2.model_type)
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise InputError(f"model_type is {model_type!r}; npgpt supports {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def family_of(config: TransformerConfig) -> Family:
    """The family in which a model is stored."""
    if isinstance(config, EncoderDecoderConfig):
        return MARIAN
    if isinstance(config, BertConfig):
        return BERT
    if not config.pre_layer_norm:
        return OPENAI_GPT
    return GPT2 if config.qkv_bias and config.window_size is None else GPT_NEO


def require_storable(config: TransformerConfig) -> None:
    """Raise InputError, saying what would be right, if no family can store a model of this configuration."""
    family_of(config).fields(config)
