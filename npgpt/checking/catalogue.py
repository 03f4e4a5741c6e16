"""Catalogue: every layer and every setting that `npgpt gradcheck` checks."""
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npgpt.checking.draws import B, C, Draw, H, I, S, T, V, gain, ids, normal, parameters, some_ignored
from npgpt.checking.layer import check_layer
from npgpt.checking.model import check_model
from npgpt.checking.report import Report
from npgpt.generation.kv_cache import CachedAttention
from npgpt.layers.activations import (
    gelu, gelu_backward, gelu_exact, gelu_exact_backward, relu, relu_backward, silu, silu_backward, tanh, tanh_backward)
from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_backward
from npgpt.layers.causal_attention import QUERY_TILE, causal_attention, causal_attention_backward
from npgpt.layers.cross_attention import (
    attend_to_memory, attend_to_memory_backward, cross_attention, cross_attention_backward, memory_keys_values,
    memory_keys_values_backward)
from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.mean_squared_error import mean_squared_error, mean_squared_error_backward
from npgpt.layers.pattern import bidirectional
from npgpt.layers.self_attention import self_attention, self_attention_backward
from npgpt.layers.softmax import softmax, softmax_backward
from npgpt.model.bert import EmbeddingParameters, EmbeddingsCache, bert_table, embeddings, embeddings_backward
from npgpt.model.bert_config import BertConfig
from npgpt.model.block import block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.decoder_block import decoder_block, decoder_block_backward, decoder_block_table
from npgpt.model.masked_head import masked_head, masked_head_backward
from npgpt.model.parameters import block_table
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

SMALL_GPT = GPTConfig(vocab_size=V, n_positions=T + 1, n_embd=C, n_layer=2, n_head=H, n_inner=I).without_dropout()
DROPPING = {"embd_pdrop": 0.2, "attn_pdrop": 0.3, "resid_pdrop": 0.1}
DROPPING_GPT = dataclasses.replace(SMALL_GPT, **DROPPING)
SMALL_BERT = BertConfig(vocab_size=V, n_positions=T + 1, n_embd=C, n_layer=2, n_head=H, n_inner=I, type_vocab_size=3,
                        pad_token_id=0).without_dropout()
GPT_VARIANTS = {
    "gpt": {},
    "gpt, untied head": {"tie_word_embeddings": False},
    "gpt, ReLU": {"activation_function": "relu"},
    "gpt, sinusoidal positions": {"position_embedding_type": "sinusoidal"},
    "gpt, post-LN": {"pre_layer_norm": False},
    "gpt, banded": {"window_size": 2, "qkv_bias": False},
    "gpt, dropout": DROPPING,
}


class Case(NamedTuple):
    """A layer pair in one setting."""
    setting: str
    forward: Callable
    backward: Callable
    draws: tuple[Draw, ...]                     # one for each argument
    settings: dict

    @property
    def layer(self) -> str:
        return self.forward.__name__

    @property
    def name(self) -> str:
        return f"{self.layer}, {self.setting}" if self.setting else self.layer

    def draw(self, rng: np.random.Generator) -> list:
        return [draw(rng) for draw in self.draws]


def case(setting: str, forward: Callable, backward: Callable, *draws: Draw, **settings) -> Case:
    return Case(setting, forward, backward, draws, settings)


def embeddings_backward_whole(dy: np.ndarray, cache: EmbeddingsCache) -> EmbeddingParameters:
    """With the gradient of the whole table, and not of the rows that were read alone."""
    (ids_read, drows), *others = embeddings_backward(dy, cache)
    dwte = np.zeros((V, C), dy.dtype)
    dwte[ids_read] = drows
    return EmbeddingParameters(dwte, *others)


def cached_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Attention through a key-value cache of which two columns are in use already."""
    keys, values = np.random.default_rng(0).standard_normal((2, B, H, T + 3, 3)).astype(q.dtype)
    pattern = CachedAttention(keys, values, length=2)
    y, cache = pattern.forward(q, k, v)
    return y, (pattern, cache)


def cached_attention_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pattern, cache = cache
    return pattern.backward(dy, cache)


# The second query sees no key; the others see some of the keys.
MASK = np.tri(T, S, 0, dtype=bool)[:, ::-1].copy()
MASK[1] = False
QKV = normal(B, H, T, 3), normal(B, H, T, 3), normal(B, H, T, 3)
ACROSS = normal(B, H, T, 3), normal(B, H, S, 3), normal(B, H, S, 9)
PADDING = np.arange(T) < np.array([[5], [3], [1], [0]])          # sequences of 5, 3, 1 and 0 tokens
SELF_ATTENTION = normal(B, T, C), normal(C, 3 * C), normal(3 * C), normal(C, C), normal(C)
CROSS_ATTENTION = (normal(B, T, C), normal(B, S, C), normal(C, C), normal(C), normal(C, 2 * C), normal(2 * C),
                   normal(C, C), normal(C))
MEMORY_PADDING = np.arange(S) < np.array([[8], [5], [2], [0]])
WEIGHTS = np.arange(1.0, B * T + 1).reshape(B, T) / 7
FEED_FORWARD = normal(B, T, C), normal(C, I), normal(I), normal(I, C), normal(C)
BLOCK = normal(B, T, C), parameters(block_table(C, I, 1.0, 1.0))
DECODER_BLOCK = normal(B, T, C), normal(2, B, H, S, 3), parameters(decoder_block_table(C, I, 1.0))
BERT = bert_table(SMALL_BERT)

CASES = [
    case("", linear, linear_backward, normal(B, T, C), normal(C, I), normal(I)),
    case("repeated ids", embedding, embedding_backward, ids(V, B, T), normal(V, C)),
    case("", unembedding, unembedding_backward, normal(B, T, C), normal(V, C)),
    case("", layer_norm, layer_norm_backward, normal(B, T, C), gain(C), normal(C)),
    case("large eps", layer_norm, layer_norm_backward, normal(B, T, C), gain(C), normal(C), eps=0.5),
    case("", gelu, gelu_backward, normal(B, T, I)),
    case("", gelu_exact, gelu_exact_backward, normal(B, T, I)),
    case("", silu, silu_backward, normal(B, T, I)),
    case("", tanh, tanh_backward, normal(B, T, I)),
    case("", relu, relu_backward, normal(B, T, I)),
    case("", softmax, softmax_backward, normal(B, T, S)),
    case("masked", softmax, softmax_backward, normal(B, T, S), mask=MASK),
    case("unmasked", attention, attention_backward, *QKV),
    case("causal", attention, attention_backward, *QKV, causal=True),
    case("across, masked", attention, attention_backward, *ACROSS, mask=MASK),
    case("across, causal", attention, attention_backward, *ACROSS, causal=True),
    case("dropout", attention, attention_backward, *QKV, causal=True, p=0.3, rng=np.random.default_rng(0)),
    case("", causal_attention, causal_attention_backward, *QKV),
    case("tiles", causal_attention, causal_attention_backward, *[normal(1, QUERY_TILE + 3, 2)] * 3),
    case("banded", causal_attention, causal_attention_backward, *QKV, window=3),
    case("band tiles", causal_attention, causal_attention_backward, *[normal(1, QUERY_TILE + 3, 2)] * 3, window=4),
    case("", cached_attention, cached_attention_backward, *QKV),
    case("causal", self_attention, self_attention_backward, *SELF_ATTENTION, n_head=H),
    case("padded", self_attention, self_attention_backward, *SELF_ATTENTION, n_head=H,
         pattern=bidirectional(PADDING)),
    case("", cross_attention, cross_attention_backward, *CROSS_ATTENTION, n_head=H),
    case("padded", cross_attention, cross_attention_backward, *CROSS_ATTENTION, n_head=H, mask=MEMORY_PADDING),
    case("dropout", cross_attention, cross_attention_backward, *CROSS_ATTENTION, n_head=H, p=0.3,
         rng=np.random.default_rng(0)),
    case("", memory_keys_values, memory_keys_values_backward, normal(B, S, C), normal(C, 2 * C), normal(2 * C), n_head=H),
    case("", attend_to_memory, attend_to_memory_backward, normal(B, T, C), normal(2, B, H, S, 3), normal(C, C), normal(C),
         normal(C, C), normal(C)),
    case("GELU", feed_forward, feed_forward_backward, *FEED_FORWARD),
    case("ReLU", feed_forward, feed_forward_backward, *FEED_FORWARD, activation="relu"),
    case("", dropout, dropout_backward, normal(B, T, C), p=0.3, rng=np.random.default_rng(0)),
    case("", cross_entropy, cross_entropy_backward, normal(B, T, V), ids(V, B, T)),
    case("ignoring", cross_entropy, cross_entropy_backward, normal(B, T, V), some_ignored),
    case("weighted", cross_entropy, cross_entropy_backward, normal(B, T, V), some_ignored, weights=WEIGHTS),
    case("smoothed", cross_entropy, cross_entropy_backward, normal(B, T, V), some_ignored, smoothing=0.1),
    case("", binary_cross_entropy, binary_cross_entropy_backward, normal(B, V), ids(2, B, V)),
    case("", mean_squared_error, mean_squared_error_backward, normal(B, V), targets=WEIGHTS[:, :1] * np.arange(V)),
    case("", block, block_backward, *BLOCK, config=SMALL_GPT),
    case("dropout", block, block_backward, *BLOCK, config=DROPPING_GPT, rng=np.random.default_rng(0)),
    case("", post_ln_block, post_ln_block_backward, *BLOCK, config=SMALL_GPT),
    case("dropout", post_ln_block, post_ln_block_backward, *BLOCK, config=DROPPING_GPT, rng=np.random.default_rng(0)),
    case("", decoder_block, decoder_block_backward, *DECODER_BLOCK, config=SMALL_GPT),
    case("padded", decoder_block, decoder_block_backward, *DECODER_BLOCK, config=DROPPING_GPT, mask=MEMORY_PADDING,
         rng=np.random.default_rng(0)),
    case("two segments", embeddings, embeddings_backward_whole, ids(V, B, T), parameters(BERT.embeddings), config=SMALL_BERT,
         segments=np.arange(B * T).reshape(B, T) % 2),
    case("", masked_head, masked_head_backward, normal(B, T, C), parameters(BERT.head), normal(V, C), config=SMALL_BERT),
]
NAMES = [*dict.fromkeys(c.layer for c in CASES), "gpt"]


def check_case(case: Case, methods: tuple[str, ...], seed: int = 0) -> Report:
    arguments = case.draw(np.random.default_rng(seed))
    return check_layer(case.forward, case.backward, *arguments, methods=methods, seed=seed, name=case.name, **case.settings)


def check_variant(name: str, methods: tuple[str, ...], seed: int = 0) -> Report:
    """The small GPT in one of GPT_VARIANTS, as a language model. An id occurs twice, and some targets are ignored."""
    rng = np.random.default_rng(seed)
    batch = TokenBatch(ids(V, B, T)(rng), some_ignored(rng))
    return check_model(LanguageModelling(dataclasses.replace(SMALL_GPT, **GPT_VARIANTS[name])), batch, seed, methods, name)
