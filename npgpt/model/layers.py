"""Which implementation of attention, feed-forward and head to use: the plain one, except in tensor-parallel training
and prefill (parallel/tensor_parallel.py)."""
from collections.abc import Callable
from typing import NamedTuple

from npgpt.layers.embedding import unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.self_attention import self_attention, self_attention_backward


class Layers(NamedTuple):
    """Layer pairs that keep the contract of layers/."""
    self_attention: Callable
    self_attention_backward: Callable
    feed_forward: Callable
    feed_forward_backward: Callable
    unembedding: Callable
    unembedding_backward: Callable


PLAIN = Layers(self_attention, self_attention_backward, feed_forward, feed_forward_backward,
               unembedding, unembedding_backward)
