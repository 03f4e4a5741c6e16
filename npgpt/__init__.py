"""npgpt: Transformers in NumPy alone, every layer with its backward pass written by hand.

As a library:

    train, generate, load, save     a Model: parameters, configuration and tokenizer in one named tuple
    attention_maps                  what each head of a model attends to in a text
    preset, GPTConfig               what a model is made of
    check_layer, check_model        hand-written gradients against numerical ones
    linear, linear_backward, ...    the layers, each a pair of functions

The rooms, in reading order:

    layers/     each layer a pair of pure functions, forward directly above backward
    model/      configuration, parameters, blocks, the bodies of GPT, BERT and the encoder-decoder, heads
    tasks/      what a model is trained to do: batches, their loss and its gradients
    training/   learning rate, AdamW, the training loop, evaluation
    parallel/   a batch or a layer on several threads; BLAS's threads, memory
    runs/       what a training run leaves on the disk and continues from
    text/       tokenizers, from text to batches, labelled examples
    generation/ sampling, beam search, key-value cache, translation
    scoring/    how good predictions are: accuracy, F1, BLEU, perplexity; few-shot prompts
    checking/   gradient checks, for layers of your own too
    exercises/  backward passes to write, and mistakes to find
    interop/    model directories of Hugging Face's transformers
    inspection/ every intermediate result of a pass, attention maps, loss curves
    commands/   the command line
"""
import importlib
from typing import Any

__version__ = "0.2.0"

_NAMES = {
    "npgpt.library": ["train", "generate", "load", "save"],
    "npgpt.inspection.attention_maps": ["attention_maps"],
    "npgpt.model.model": ["Model"],
    "npgpt.model.config": ["GPTConfig"],
    "npgpt.model.presets": ["preset"],
    "npgpt.checking.layer": ["check_layer"],
    "npgpt.checking.model": ["check_model"],
    "npgpt.tasks.language_modelling": ["LanguageModelling", "TokenBatch"],
    "npgpt.layers.linear": ["linear", "linear_backward"],
    "npgpt.layers.embedding": ["embedding", "embedding_backward", "unembedding", "unembedding_backward"],
    "npgpt.layers.layer_norm": ["layer_norm", "layer_norm_backward"],
    "npgpt.layers.activations": ["gelu", "gelu_backward", "gelu_exact", "gelu_exact_backward", "silu", "silu_backward",
                                 "tanh", "tanh_backward", "relu", "relu_backward"],
    "npgpt.layers.softmax": ["softmax", "softmax_backward"],
    "npgpt.layers.attention": ["attention", "attention_backward"],
    "npgpt.layers.causal_attention": ["causal_attention", "causal_attention_backward"],
    "npgpt.layers.self_attention": ["self_attention", "self_attention_backward"],
    "npgpt.layers.cross_attention": ["cross_attention", "cross_attention_backward", "memory_keys_values",
                                     "memory_keys_values_backward", "attend_to_memory", "attend_to_memory_backward"],
    "npgpt.layers.feed_forward": ["feed_forward", "feed_forward_backward"],
    "npgpt.layers.dropout": ["dropout", "dropout_backward"],
    "npgpt.layers.cross_entropy": ["cross_entropy", "cross_entropy_backward"],
    "npgpt.layers.binary_cross_entropy": ["binary_cross_entropy", "binary_cross_entropy_backward"],
    "npgpt.layers.mean_squared_error": ["mean_squared_error", "mean_squared_error_backward"],
    "npgpt.model.block": ["block", "block_backward"],
    "npgpt.model.post_ln_block": ["post_ln_block", "post_ln_block_backward"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that the command line can catch Ctrl-C while NumPy is imported."""
    if name not in _MODULES:
        raise AttributeError(f"module 'npgpt' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
