"""Configurations by name: small ones to learn with, and those of GPT-1, GPT-2, GPT-3, BERT and the first Transformer."""
import dataclasses
import math
from functools import partial

from npgpt.errors import InputError
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig

GPT2_WIDTH, GPT2_RANGE = 768, 0.02       # the narrowest GPT-2, and its initializer_range

GPT3 = partial(GPTConfig, n_positions=2048, window_size=256, qkv_bias=False, resid_pdrop=0.0, embd_pdrop=0.0,
               attn_pdrop=0.0, bos_token_id=50256, eos_token_id=50256)

# gpt1: Radford et al. 2018, section 4.1. gpt3-*: Brown et al. 2020, table 2.1. In two of its rows, n_heads times d_head is
# not d_model: 24 x 128 for 2048 in the XL model, and 40 x 128 for 5140 in the 13B model. Here these are 16 heads, and 5120
# channels, which give the 1.3 and 13 billion parameters of the rows' names. The paper says nothing of the window's width,
# biases and dropout: these are GPT-Neo's.
PRESETS = {
    "tiny": GPTConfig(vocab_size=11, n_positions=8, n_embd=12, n_layer=2, n_head=3).without_dropout(),
    "small": GPTConfig(vocab_size=65, n_positions=64, n_embd=128, n_layer=3, n_head=4).without_dropout(),
    "medium": GPTConfig(vocab_size=65, n_positions=256, n_embd=384, n_layer=6, n_head=6),
    "gpt1-small": GPTConfig(vocab_size=65, n_positions=64, n_embd=128, n_layer=3, n_head=4,
                            pre_layer_norm=False).without_dropout(),
    "gpt3-small": GPTConfig(vocab_size=65, n_positions=64, n_embd=128, n_layer=3, n_head=4,
                            window_size=16, qkv_bias=False).without_dropout(),
    "gpt1": GPTConfig(vocab_size=40478, n_positions=512, n_embd=768, n_layer=12, n_head=12, pre_layer_norm=False),
    "gpt2": GPTConfig(n_embd=768, n_layer=12, n_head=12, bos_token_id=50256, eos_token_id=50256),
    "gpt2-medium": GPTConfig(n_embd=1024, n_layer=24, n_head=16, bos_token_id=50256, eos_token_id=50256),
    "gpt2-large": GPTConfig(n_embd=1280, n_layer=36, n_head=20, bos_token_id=50256, eos_token_id=50256),
    "gpt2-xl": GPTConfig(n_embd=1600, n_layer=48, n_head=25, bos_token_id=50256, eos_token_id=50256),
    "gpt3-125m": GPT3(n_embd=768, n_layer=12, n_head=12),
    "gpt3-350m": GPT3(n_embd=1024, n_layer=24, n_head=16),
    "gpt3-760m": GPT3(n_embd=1536, n_layer=24, n_head=16),
    "gpt3-1.3b": GPT3(n_embd=2048, n_layer=24, n_head=16),
    "gpt3-2.7b": GPT3(n_embd=2560, n_layer=32, n_head=32),
    "gpt3-6.7b": GPT3(n_embd=4096, n_layer=32, n_head=32),
    "gpt3-13b": GPT3(n_embd=5120, n_layer=40, n_head=40),
    "gpt3-175b": GPT3(n_embd=12288, n_layer=96, n_head=96),
}
# Devlin et al. 2019, section 3.
BERT_PRESETS = {
    "bert-small": BertConfig(vocab_size=65, n_positions=64, n_embd=128, n_layer=2, n_head=4,
                             activation_function="gelu_new").without_dropout(),
    "bert-base": BertConfig(n_embd=768, n_layer=12, n_head=12),
    "bert-large": BertConfig(n_embd=1024, n_layer=24, n_head=16),
}
# Vaswani et al. 2017, table 3.
TRANSLATION_PRESETS = {
    "transformer-small": EncoderDecoderConfig(vocab_size=65, n_positions=256, n_embd=64, n_layer=2,
                                              n_head=4).without_dropout(),
    "transformer-base": EncoderDecoderConfig(),
    "transformer-big": EncoderDecoderConfig(n_embd=1024, n_head=16, resid_pdrop=0.3),
}
ALL_PRESETS = PRESETS | BERT_PRESETS | TRANSLATION_PRESETS


def preset(name: str, **changes) -> TransformerConfig:
    """A configuration by name, with some fields changed. A new model is initialised as its width asks for, unless
    initializer_range is among the changes. Raises InputError for an unknown name.
    """
    if name not in ALL_PRESETS:
        raise InputError(f"no preset is called {name!r}; there are {', '.join(ALL_PRESETS)}")
    config = dataclasses.replace(ALL_PRESETS[name], **changes)
    return dataclasses.replace(config, **{"initializer_range": initializer_range(config.n_embd), **changes})


def initializer_range(n_embd: int) -> float:
    """The standard deviation with which matrices and embeddings of a new model start.

        0.02                    from 768 channels on, as in GPT-2
        0.8 / sqrt(n_embd)      for narrower models

    Entries of x W have a variance of n_embd times that of W's entries, where x is normalised. With 0.02 and few
    channels, queries, keys and logits are small, and training begins slowly.
    """
    return GPT2_RANGE if n_embd >= GPT2_WIDTH else round(0.8 / math.sqrt(n_embd), 4)
