"""Catalogue: every layer, in every setting, with arguments on which to check it.

All dimensions of a case differ from each other, so that a transpose cannot pass for the right thing.
"""
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npgpt.checking.layer import check_layer
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.checking.report import Report
from npgpt.generation.kv_cache import CachedAttention
from npgpt.layers.activations import gelu, gelu_backward, relu, relu_backward
from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.causal_attention import QUERY_TILE, causal_attention, causal_attention_backward
from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.pattern import bidirectional
from npgpt.layers.self_attention import self_attention, self_attention_backward
from npgpt.layers.softmax import softmax, softmax_backward
from npgpt.model.block import block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import BlockParameters, block_table, groups
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

B, T, S, H, C, I, V = 4, 5, 8, 2, 6, 7, 9
SMALL_GPT = GPTConfig(vocab_size=V, n_positions=T + 1, n_embd=C, n_layer=2, n_head=H, n_inner=I).without_dropout()
DROPPING = {"embd_pdrop": 0.2, "attn_pdrop": 0.3, "resid_pdrop": 0.1}
DROPPING_GPT = dataclasses.replace(SMALL_GPT, **DROPPING)
GPT_VARIANTS = {
    "gpt": {},
    "gpt, untied head": {"tie_word_embeddings": False},
    "gpt, ReLU": {"activation_function": "relu"},
    "gpt, sinusoidal positions": {"position_embedding_type": "sinusoidal"},
    "gpt, dropout": DROPPING,
}


class Case(NamedTuple):
    """A layer pair in one setting. draw makes its arguments."""
    layer: str
    setting: str
    forward: Callable
    backward: Callable
    draw: Callable[[np.random.Generator], list]
    settings: dict

    @property
    def name(self) -> str:
        return f"{self.layer}, {self.setting}" if self.setting else self.layer


def normal(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: rng.standard_normal(shape)


def gain(size: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: 1 + 0.3 * rng.standard_normal(size)


def ids(below: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Ids of which one stands at least twice."""
    def draw(rng: np.random.Generator) -> np.ndarray:
        drawn = rng.integers(below, size=shape)
        drawn.flat[-1] = drawn.flat[0]
        return drawn
    return draw


def case(layer: str, setting: str, forward: Callable, backward: Callable, *arguments: Callable, **settings) -> Case:
    return Case(layer, setting, forward, backward, lambda rng: [draw(rng) for draw in arguments], settings)


def some_ignored(rng: np.random.Generator) -> np.ndarray:
    targets = rng.integers(V, size=(B, T))
    targets[0, 1] = targets[1, 0] = IGNORED
    return targets


def block_parameters(rng: np.random.Generator) -> BlockParameters:
    table = block_table(C, I, 1.0, 1.0)
    return groups(unit_scale_parameters(table, rng), table)


def attention_after_a_prefix(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Attention through a key-value cache whose first two columns are in use."""
    keys, values = np.random.default_rng(0).standard_normal((2, B, H, T + 3, 3)).astype(q.dtype)
    pattern = CachedAttention(keys, values, length=2)
    y, cache = pattern.forward(q, k, v)
    return y, (pattern, cache)


def attention_after_a_prefix_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pattern, cache = cache
    return pattern.backward(dy, cache)


# The second query sees no key; the others see some keys and not others.
MASK = np.tri(T, S, 0, dtype=bool)[:, ::-1].copy()
MASK[1] = False
QKV = normal(B, H, T, 3), normal(B, H, T, 3), normal(B, H, T, 3)
ACROSS = normal(B, H, T, 3), normal(B, H, S, 3), normal(B, H, S, 9)
PADDING = np.arange(T) < np.array([[5], [3], [1], [0]])          # sequences of 5, 3, 1 and 0 tokens
SELF_ATTENTION = normal(B, T, C), normal(3, C, C), normal(3, C), normal(C, C), normal(C)
FEED_FORWARD = normal(B, T, C), normal(C, I), normal(I), normal(I, C), normal(C)

CASES = [
    case("linear", "", linear, linear_backward, normal(B, T, C), normal(C, I), normal(I)),
    case("embedding", "repeated ids", embedding, embedding_backward, ids(V, B, T), normal(V, C)),
    case("unembedding", "", unembedding, unembedding_backward, normal(B, T, C), normal(V, C)),
    case("layer_norm", "", layer_norm, layer_norm_backward, normal(B, T, C), gain(C), normal(C)),
    case("layer_norm", "large eps", layer_norm, layer_norm_backward, normal(B, T, C), gain(C), normal(C), eps=0.5),
    case("gelu", "", gelu, gelu_backward, normal(B, T, I)),
    case("relu", "", relu, relu_backward, normal(B, T, I)),
    case("softmax", "", softmax, softmax_backward, normal(B, T, S)),
    case("softmax", "masked", softmax, softmax_backward, normal(B, T, S), mask=MASK),
    case("attention", "unmasked", attention, attention_backward, *QKV),
    case("attention", "causal", attention, attention_backward, *QKV, causal=True),
    case("attention", "across, masked", attention, attention_backward, *ACROSS, mask=MASK),
    case("attention", "across, causal", attention, attention_backward, *ACROSS, causal=True),
    case("attention", "dropout", attention, attention_backward, *QKV, causal=True, p=0.3, rng=np.random.default_rng(0)),
    case("causal_attention", "", causal_attention, causal_attention_backward, *QKV),
    case("causal_attention", "tiles", causal_attention, causal_attention_backward, *[normal(1, QUERY_TILE + 3, 2)] * 3),
    case("causal_attention", "cached", attention_after_a_prefix, attention_after_a_prefix_backward, *QKV),
    case("self_attention", "causal", self_attention, self_attention_backward, *SELF_ATTENTION, n_head=H),
    case("self_attention", "padded", self_attention, self_attention_backward, *SELF_ATTENTION, n_head=H,
         pattern=bidirectional(PADDING)),
    case("feed_forward", "GELU", feed_forward, feed_forward_backward, *FEED_FORWARD),
    case("feed_forward", "ReLU", feed_forward, feed_forward_backward, *FEED_FORWARD, activation="relu"),
    case("dropout", "", dropout, dropout_backward, normal(B, T, C), p=0.3, rng=np.random.default_rng(0)),
    case("cross_entropy", "", cross_entropy, cross_entropy_backward, normal(B, T, V), ids(V, B, T)),
    case("cross_entropy", "ignoring", cross_entropy, cross_entropy_backward, normal(B, T, V), some_ignored),
    case("block", "", block, block_backward, normal(B, T, C), block_parameters, config=SMALL_GPT),
    case("block", "dropout", block, block_backward, normal(B, T, C), block_parameters, config=DROPPING_GPT,
         rng=np.random.default_rng(0)),
    case("post_ln_block", "", post_ln_block, post_ln_block_backward, normal(B, T, C), block_parameters, config=SMALL_GPT),
    case("post_ln_block", "dropout", post_ln_block, post_ln_block_backward, normal(B, T, C), block_parameters,
         config=DROPPING_GPT, rng=np.random.default_rng(0)),
]
NAMES = [*dict.fromkeys(c.layer for c in CASES), "gpt"]


def check_case(case: Case, methods: tuple[str, ...], seed: int = 0) -> Report:
    arguments = case.draw(np.random.default_rng(seed))
    return check_layer(case.forward, case.backward, *arguments, methods=methods, seed=seed, name=case.name, **case.settings)


def check_variant(name: str, methods: tuple[str, ...], seed: int = 0) -> Report:
    """The small GPT in one of GPT_VARIANTS, as a language model."""
    return check_model(LanguageModelling(dataclasses.replace(SMALL_GPT, **GPT_VARIANTS[name])), token_batch(seed), seed,
                       methods, name)


def token_batch(seed: int) -> TokenBatch:
    """Sequences shorter than the context, in which an id occurs twice and a target is ignored."""
    rng = np.random.default_rng(seed)
    return TokenBatch(ids(V, B, T)(rng), some_ignored(rng))
