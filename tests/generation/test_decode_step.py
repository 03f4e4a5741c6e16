"""The model and its layers for a single token are those of model/ and layers/."""
import numpy as np
from hypothesis import given, strategies as st

from npgpt.generation.kv_cache import empty_cache
from npgpt.generation.decode_step import attention_of_one, gpt_of_one, layer_norm_of_one
from npgpt.generation.views import arrange
from npgpt.layers.attention import attention
from npgpt.layers.layer_norm import layer_norm
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import parameter_count

sizes = st.integers(1, 9)
seeds = st.integers(0, 10**6)
dtypes = st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)])
configs = st.builds(lambda heads, width, **fields: GPTConfig(n_head=heads, n_embd=heads * width, vocab_size=7, **fields),
                    heads=st.integers(1, 3), width=st.integers(1, 4), n_positions=st.integers(1, 9), n_layer=st.integers(1, 3),
                    n_inner=st.none() | st.integers(1, 5), activation_function=st.sampled_from(["gelu_new", "relu"]),
                    layer_norm_epsilon=st.sampled_from([1e-5, 0.5]), tie_word_embeddings=st.booleans(),
                    position_embedding_type=st.sampled_from(["learned", "sinusoidal"]))


def same(actual, expected, arguments, tolerance):
    """And shares no memory with what was given."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    assert not any(np.shares_memory(actual, argument) for argument in arguments)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@given(configs, seeds, dtypes)
def test_token_by_token_a_text_gets_the_scores_that_it_has_as_a_whole(config, seed, precision):
    """With every gain and bias drawn too; the cache is NaN wherever nothing was written yet."""
    dtype, tolerance = precision
    rng = np.random.default_rng(seed)
    parameters = rng.normal(0, 0.5, parameter_count(config)).astype(dtype)
    before = parameters.copy()
    ids = rng.integers(7, size=config.n_positions)
    expected, _ = gpt(ids[None], parameters, config)
    views, cache = arrange(parameters, config), empty_cache(config, 1, dtype)
    for array in cache.arrays():
        array[...] = np.nan
    for length, token in enumerate(ids.tolist()):
        same(gpt_of_one(token, views, cache, length), expected[0, length], (parameters, *cache), 1000 * tolerance)
    assert (parameters == before).all()


@given(sizes, seeds, dtypes)
def test_layer_norm(C, seed, precision):
    dtype, tolerance = precision
    x, gain, bias = np.random.default_rng(seed).normal(1, 2, (3, C)).astype(dtype)
    before = x.copy()
    same(layer_norm_of_one(x, gain, bias, 1e-5), layer_norm(x, gain, bias, 1e-5)[0], (x, gain, bias), 100 * tolerance)
    assert (x == before).all()


@given(sizes, sizes, st.integers(1, 3), seeds, dtypes, st.sampled_from([1, 1000]))
def test_attention(S, D, H, seed, precision, scale):
    """Large scores do not overflow."""
    dtype, tolerance = precision
    rng = np.random.default_rng(seed)
    q = (scale * rng.normal(size=(H, D))).astype(dtype)
    k, v = rng.normal(size=(2, H, S, D)).astype(dtype)
    before = q.copy(), k.copy(), v.copy()
    same(attention_of_one(q, k, v), attention(q[:, None], k, v)[0][:, 0], (q, k, v), scale * tolerance)
    assert all((now == then).all() for now, then in zip((q, k, v), before))
