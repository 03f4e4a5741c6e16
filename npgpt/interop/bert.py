"""BERT in Hugging Face's files: the tensors of BertForMaskedLM and of its body, and the fields of BertConfig."""
import re
from collections.abc import Mapping

import numpy as np

from npgpt.errors import InputError
from npgpt.interop.family import (Family, Stored, configuration, fields_of, one_of_qkv, plain, renamed, require_fixed, same,
                                  transposed)
from npgpt.interop.safetensors import as_float
from npgpt.interop.tokenizer_files import bert_template
from npgpt.model.bert import BertParameters
from npgpt.model.bert_config import BertConfig
from npgpt.model.parameters import LayerNormParameters

NAMES = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
         "num_hidden_layers": "n_layer", "intermediate_size": "n_inner", "hidden_act": "activation_function",
         "hidden_dropout_prob": "resid_pdrop", "attention_probs_dropout_prob": "attn_pdrop",
         "layer_norm_eps": "layer_norm_epsilon",
         **same("vocab_size", "type_vocab_size", "initializer_range", "tie_word_embeddings", "bos_token_id", "eos_token_id",
                "pad_token_id")}
# Settings that change the computation, each with the only value that npgpt supports.
FIXED = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}
INNER = 3072                                    # what Hugging Face's BertConfig assumes where a file says nothing
TABLE, UNEMBEDDING = "embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
BIAS, REPEATED_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
OLD = {".gamma": ".weight", ".beta": ".bias"}   # of layer norm, in Google's files
# No part of a masked language model: the pooler, the head for the next sentence, and numbers 0, 1, ... in old files.
IGNORED = re.compile(r"(bert\.)?pooler\.dense\.(weight|bias)|cls\.seq_relationship\.(weight|bias)"
                     r"|(bert\.)?embeddings\.(position_ids|token_type_ids)")


def parse_config(stored: dict) -> BertConfig:
    require_fixed(stored, FIXED)
    return configuration(BertConfig, renamed({"intermediate_size": INNER, **stored}, NAMES), NAMES.values())


def fields(config: BertConfig) -> dict[str, object]:
    return {**FIXED, **fields_of(config, NAMES, n_inner=config.inner)}         # Hugging Face's BertConfig has no None


def body(p: BertParameters, config: BertConfig) -> dict[str, Stored]:
    e = p.embeddings
    tensors = {TABLE: plain(e.wte), "embeddings.position_embeddings.weight": plain(e.wpe),
               "embeddings.token_type_embeddings.weight": plain(e.wse), **layer_norm("embeddings.LayerNorm", e.ln)}
    for i, b in enumerate(p.blocks):
        named = {}
        for which, name in enumerate(("query", "key", "value")):
            named |= {f"attention.self.{name}.weight": one_of_qkv(b.attn.w_qkv, config.n_head, which),
                      f"attention.self.{name}.bias": one_of_qkv(b.attn.b_qkv, config.n_head, which)}
        named |= {"attention.output.dense.weight": transposed(b.attn.w_proj),
                  "attention.output.dense.bias": plain(b.attn.b_proj),
                  **layer_norm("attention.output.LayerNorm", b.ln_1),
                  "intermediate.dense.weight": transposed(b.mlp.w_up), "intermediate.dense.bias": plain(b.mlp.b_up),
                  "output.dense.weight": transposed(b.mlp.w_down), "output.dense.bias": plain(b.mlp.b_down),
                  **layer_norm("output.LayerNorm", b.ln_2)}
        tensors |= {f"encoder.layer.{i}.{name}": stored for name, stored in named.items()}
    return tensors


def head(p: BertParameters, config: BertConfig) -> dict[str, Stored]:
    if p.head is None:
        return {}
    tensors = {"cls.predictions.transform.dense.weight": transposed(p.head.w),
               "cls.predictions.transform.dense.bias": plain(p.head.b),
               **layer_norm("cls.predictions.transform.LayerNorm", p.head.ln), BIAS: plain(p.head.bias)}
    return tensors if p.unembedding is None else {**tensors, UNEMBEDDING: plain(p.unembedding), REPEATED_BIAS: tensors[BIAS]}


def layer_norm(name: str, p: LayerNormParameters) -> dict[str, Stored]:
    return {f"{name}.weight": plain(p.gain), f"{name}.bias": plain(p.bias)}


def parameters_alone(tensors: Mapping[str, np.ndarray], config: BertConfig) -> dict[str, np.ndarray]:
    """The tensors under their present names, and the bias of the logits under both of its own: as in transformers, that of
    an untied head is the decoder's. Raises InputError where the two differ in a file with a tied head.
    """
    tensors = {present_name(name): tensor for name, tensor in tensors.items()}
    biases = [tensors[name] for name in (REPEATED_BIAS, BIAS) if name in tensors]
    if len(biases) == 2 and config.tie_word_embeddings and not np.array_equal(*map(as_float, biases), equal_nan=True):
        raise InputError(f"{BIAS} and {REPEATED_BIAS} differ, but are the same where the head is tied to the embedding")
    return {**tensors, **dict.fromkeys((BIAS, REPEATED_BIAS), biases[0])} if biases else tensors


def present_name(name: str) -> str:
    return next((name.removesuffix(old) + new for old, new in OLD.items() if name.endswith("LayerNorm" + old)), name)


BERT = Family(
    model_type="bert", class_prefix="Bert", language_model="ForMaskedLM", parse_config=parse_config, fields=fields,
    prefix="bert.", body=body, head=head, table=TABLE, unembedding=UNEMBEDDING, template=bert_template,
    inputs=("input_ids", "token_type_ids", "attention_mask"), ignored=IGNORED, parameters_alone=parameters_alone)
