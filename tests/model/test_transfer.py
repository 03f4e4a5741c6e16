"""Transfer: what a new model takes from a trained one, and what is drawn."""
import dataclasses

import numpy as np
import pytest

from npgpt.checking.catalogue import SMALL_GPT
from npgpt.model.heads import CLASSIFICATION, Head, model_table
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.model.transfer import transferred

HEADS = (Head(CLASSIFICATION, ("a", "b")),)
MORE = dataclasses.replace(SMALL_GPT, vocab_size=SMALL_GPT.vocab_size + 4)


def moved(seed=0, blocks=None, dtype=np.float64):
    """The old and the new parameters by name. The old ones are drawn from another seed."""
    parameters = initial_parameters(model_table(SMALL_GPT), 99, dtype) + 1
    vector = transferred(parameters, SMALL_GPT, MORE, HEADS, seed, blocks)
    assert vector.dtype == dtype
    return named_views(parameters, model_table(SMALL_GPT)), named_views(vector, model_table(MORE, HEADS))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_is_taken_and_rows_of_new_tokens_come_last(dtype):
    old, new = moved(dtype=dtype)
    assert all((new[name][:len(old[name])] == old[name]).all() for name in old)
    drawn = named_views(initial_parameters(model_table(MORE, HEADS), 0, dtype), model_table(MORE, HEADS))
    assert (new["wte"][-4:] == drawn["wte"][-4:]).all() and (new["heads.0.w"] == drawn["heads.0.w"]).all()


def test_new_rows_and_heads_are_drawn_from_the_seed():
    (_, one), (_, same), (_, other) = moved(seed=1), moved(seed=1), moved(seed=2)
    for name, rows in (("wte", slice(-4, None)), ("heads.0.w", slice(None))):
        assert (one[name][rows] == same[name][rows]).all() and (one[name][rows] != other[name][rows]).all()


@pytest.mark.parametrize("blocks", [0, 1])
def test_of_some_blocks_the_embeddings_and_these_blocks_are_taken(blocks):
    old, new = moved(blocks=blocks)
    taken = {name for name in old if (new[name][:len(old[name])] == old[name]).all()}
    assert taken == {name for name in old if name.startswith(("wte", "wpe", *(f"blocks.{i}." for i in range(blocks))))}
