"""GPT-3's form in Hugging Face's files: the tensors of GPTNeoForCausalLM, and the fields of GPTNeoConfig."""
import dataclasses
import math
import re

from npgpt.errors import InputError
from npgpt.interop import gpt2
from npgpt.interop.family import Family, Stored, configuration, fields_of, one_of_qkv, plain, renamed, same, transposed
from npgpt.interop.tokenizer_files import labelled_template
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters

NAMES = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_heads": "n_head", "num_layers": "n_layer",
         "intermediate_size": "n_inner", "resid_dropout": "resid_pdrop", "embed_dropout": "embd_pdrop",
         "attention_dropout": "attn_pdrop",
         **same("vocab_size", "activation_function", "layer_norm_epsilon", "initializer_range", "tie_word_embeddings",
                "bos_token_id", "eos_token_id", "pad_token_id")}
GLOBAL, LOCAL, LOCAL_WINDOW = "global", "local", 256


def parse_config(stored: dict) -> GPTConfig:
    """Raises InputError unless attention is global in every layer, or global and local in turn, with a window."""
    config = configuration(GPTConfig, renamed({"max_position_embeddings": 2048, "hidden_size": 2048, "num_layers": 24,
                                               "num_heads": 16, **stored}, NAMES), NAMES.values())
    kinds = attention_kinds(stored, config.n_layer)
    if kinds not in (alternating(config.n_layer), [GLOBAL] * config.n_layer):
        raise InputError(f"attention_types must be {GLOBAL!r} in all {config.n_layer} layers, or {GLOBAL!r} and {LOCAL!r} "
                         "in turn")
    window = stored.get("window_size", LOCAL_WINDOW) if LOCAL in kinds else None
    if LOCAL in kinds and window is None:
        raise InputError(f"window_size must be a whole number where attention is {LOCAL!r}, not None")
    return dataclasses.replace(config, window_size=window, qkv_bias=False)


def attention_kinds(stored: dict, n_layer: int) -> list:
    """The kind of attention of each layer. attention_types is a list of [[kinds of some layers], how many times]."""
    types = stored.get("attention_types")
    if types is None:
        return stored.get("attention_layers", alternating(n_layer))
    kinds = []
    try:
        for some, times in types:
            if not isinstance(some, list) or not 0 <= times * len(some) <= n_layer - len(kinds):
                raise ValueError
            kinds += some * times
    except (TypeError, ValueError):
        raise InputError("attention_types must be a list of [[kinds of attention], how many times], for no more than "
                         f"{n_layer} layers in all") from None
    return kinds


def alternating(n_layer: int) -> list[str]:
    return [(GLOBAL, LOCAL)[i % 2] for i in range(n_layer)]


def fields(config: GPTConfig) -> dict[str, object]:
    """Raises InputError for what this format cannot hold."""
    if config.qkv_bias or config.position_embedding_type != "learned":
        raise InputError("a model with a window is stored as GPTNeoModel, which has learned positions, and no biases of q, "
                         "k and v: qkv_bias must be false")
    kinds = alternating(config.n_layer) if config.window_size else [GLOBAL] * config.n_layer
    return {**fields_of(config, NAMES), "attention_types": [[kinds, 1]], "attention_layers": kinds,
            "window_size": config.window_size or LOCAL_WINDOW}


def body(p: GPTParameters, config: GPTConfig) -> dict[str, Stored]:
    """GPTNeoModel does not divide by sqrt(D), so its matrix of queries is divided instead."""
    H = config.n_head
    divided = 1 / math.sqrt(config.n_embd // H)
    tensors = {"wte.weight": plain(p.wte), "wpe.weight": plain(p.wpe)}
    for i, b in enumerate(p.blocks):
        named = {"ln_1.weight": plain(b.ln_1.gain), "ln_1.bias": plain(b.ln_1.bias),
                 "attn.attention.q_proj.weight": one_of_qkv(b.attn.w_qkv, H, 0, divided),
                 "attn.attention.k_proj.weight": one_of_qkv(b.attn.w_qkv, H, 1),
                 "attn.attention.v_proj.weight": one_of_qkv(b.attn.w_qkv, H, 2),
                 "attn.attention.out_proj.weight": transposed(b.attn.w_proj),
                 "attn.attention.out_proj.bias": plain(b.attn.b_proj),
                 "ln_2.weight": plain(b.ln_2.gain), "ln_2.bias": plain(b.ln_2.bias),
                 "mlp.c_fc.weight": transposed(b.mlp.w_up), "mlp.c_fc.bias": plain(b.mlp.b_up),
                 "mlp.c_proj.weight": transposed(b.mlp.w_down), "mlp.c_proj.bias": plain(b.mlp.b_down)}
        tensors |= {f"h.{i}.{name}": stored for name, stored in named.items()}
    return tensors | {"ln_f.weight": plain(p.ln_f.gain), "ln_f.bias": plain(p.ln_f.bias)}


GPT_NEO = Family(
    model_type="gpt_neo", class_prefix="GPTNeo", language_model="ForCausalLM", parse_config=parse_config, fields=fields,
    prefix="transformer.", body=body, head=gpt2.head, table="wte.weight", unembedding=gpt2.UNEMBEDDING,
    template=labelled_template,
    ignored=re.compile(r"(transformer\.)?h\.\d+\.attn\.attention\.(bias|masked_bias)"))      # masks in old files
