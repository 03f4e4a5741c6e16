"""Layers: who computes those that hold matrices. On one thread, and where a batch is split over threads, the plain ones."""
from collections.abc import Callable
from typing import NamedTuple

from npgpt.layers.embedding import unembedding, unembedding_backward
from npgpt.layers.feed_forward import feed_forward, feed_forward_backward
from npgpt.layers.self_attention import causal_self_attention, causal_self_attention_backward


class Layers(NamedTuple):
    """As block and gpt call them; by the contract of layers/, with arrays to write matrices' gradients into."""
    self_attention: Callable
    self_attention_backward: Callable
    feed_forward: Callable
    feed_forward_backward: Callable
    unembedding: Callable
    unembedding_backward: Callable


PLAIN = Layers(causal_self_attention, causal_self_attention_backward, feed_forward, feed_forward_backward,
               unembedding, unembedding_backward)
