"""GPT-2 in Hugging Face's files: the tensors of GPT2LMHeadModel, and the fields of GPT2Config."""
import dataclasses
import re

from npgpt.interop.family import Family, Stored, configuration, plain, queries_keys_values, renamed, require_fixed
from npgpt.interop.tokenizer_files import labelled_template
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters

# Settings of GPT2Config that change the computation, each with the only value that npgpt supports.
FIXED = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
         "add_cross_attention": False}
# Other names that GPT2Config accepts. n_ctx is not included: it has no effect, and in many files it has another value.
SYNONYMS = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer"}
OTHERS = ("pre_layer_norm", "qkv_bias", "window_size")              # fields of GPTConfig that GPT-2 does not have
FIELDS = tuple(field.name for field in dataclasses.fields(GPTConfig) if field.name not in OTHERS)
POSITIONS, UNEMBEDDING = "wpe.weight", "lm_head.weight"


def parse_config(stored: dict) -> GPTConfig:
    require_fixed(stored, FIXED)
    return configuration(GPTConfig, renamed(stored, SYNONYMS), FIELDS)


def fields(config: GPTConfig) -> dict[str, object]:
    return {**FIXED, **{name: getattr(config, name) for name in FIELDS}}


def body(p: GPTParameters, config: GPTConfig, tokens: str = "wte.weight", positions: str = POSITIONS) -> dict[str, Stored]:
    """tokens, positions: the names of the two embeddings."""
    tensors = {tokens: plain(p.wte)}
    if p.wpe is not None:
        tensors[positions] = plain(p.wpe)
    for i, b in enumerate(p.blocks):
        named = {"ln_1.weight": plain(b.ln_1.gain), "ln_1.bias": plain(b.ln_1.bias),
                 "attn.c_attn.weight": queries_keys_values(b.attn.w_qkv, config.n_head),
                 "attn.c_attn.bias": queries_keys_values(b.attn.b_qkv, config.n_head),
                 "attn.c_proj.weight": plain(b.attn.w_proj), "attn.c_proj.bias": plain(b.attn.b_proj),
                 "ln_2.weight": plain(b.ln_2.gain), "ln_2.bias": plain(b.ln_2.bias),
                 "mlp.c_fc.weight": plain(b.mlp.w_up), "mlp.c_fc.bias": plain(b.mlp.b_up),
                 "mlp.c_proj.weight": plain(b.mlp.w_down), "mlp.c_proj.bias": plain(b.mlp.b_down)}
        tensors |= {f"h.{i}.{name}": stored for name, stored in named.items()}
    if p.ln_f is not None:
        tensors |= {"ln_f.weight": plain(p.ln_f.gain), "ln_f.bias": plain(p.ln_f.bias)}
    return tensors


def head(p: GPTParameters, config: GPTConfig) -> dict[str, Stored]:
    return {} if p.unembedding is None else {UNEMBEDDING: plain(p.unembedding)}


GPT2 = Family(
    model_type="gpt2", class_prefix="GPT2", language_model="LMHeadModel", parse_config=parse_config, fields=fields,
    prefix="transformer.", body=body, head=head, table="wte.weight", unembedding=UNEMBEDDING, template=labelled_template,
    ignored=re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)"))      # masks in old files
