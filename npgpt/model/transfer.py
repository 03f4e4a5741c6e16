"""Transfer: a new model that starts from the parameters of a trained one, with more tokens and other heads."""
import numpy as np

from npgpt.model.config import TransformerConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.parameters import initial_parameters, named_views

EMBEDDINGS = ("wte", "wpe", "embeddings.")      # what the names of their parameters begin with


def transferred(parameters: np.ndarray, source: TransformerConfig, config: TransformerConfig, heads: tuple[Head, ...] = (),
                seed: int = 0, blocks: int | None = None) -> np.ndarray:
    """The parameters of a model with `config` and heads, which starts from those of a language model with the configuration
    `source` (Radford et al. 2018, section 3.2). Drawn from the seed are the heads and the rows of tokens that are new.

    blocks: transfer only the embeddings and so many of the first blocks (section 5); by default everything.
    """
    vector = initial_parameters(model_table(config, heads), seed, parameters.dtype)
    new, old = named_views(vector, model_table(config, heads)), named_views(parameters, model_table(source))
    count = source.n_layer if blocks is None else blocks
    kept = (*EMBEDDINGS, *(f"blocks.{i}." for i in range(count)))
    for name in old.keys() & new.keys():
        if count >= source.n_layer or name.startswith(kept):
            new[name][:len(old[name])] = old[name]
    return vector
