"""Transfer: a new model that starts from the parameters of a trained one, with more tokens and other heads."""
import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.parameters import groups, initial_parameters, named_leaves


def transferred(parameters: np.ndarray, source: GPTConfig, config: GPTConfig, heads: tuple[Head, ...] = (), seed: int = 0,
                blocks: int | None = None) -> np.ndarray:
    """The parameters of a model with `config` and heads, which starts from those of a language model with the configuration
    `source` (Radford et al. 2018, section 3.2). Drawn from the seed are the heads and the rows of tokens that are new.

    blocks: transfer only the embeddings and so many of the first blocks (section 5); by default everything.
    """
    vector = initial_parameters(model_table(config, heads), seed, parameters.dtype)
    new, old = groups(vector, model_table(config, heads)), groups(parameters, model_table(source))
    count = len(old.blocks) if blocks is None else blocks
    new.wte[:len(old.wte)] = old.wte
    if old.wpe is not None:
        new.wpe[...] = old.wpe
    parts = list(zip(new.blocks[:count], old.blocks[:count]))
    if count >= len(old.blocks):
        parts.append((new.ln_f, old.ln_f))
        if old.unembedding is not None:
            new.unembedding[:len(old.unembedding)] = old.unembedding
    for ours, theirs in parts:
        for (_, array), (_, value) in zip(named_leaves(ours), named_leaves(theirs)):
            array[...] = value
    return vector
