"""GPTConfig: every field is checked, and the one that is wrong is named."""
import dataclasses
import math

import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.model.bert_config import MOST_SEGMENTS, BertConfig
from npgpt.model.config import GPTConfig

NO_COUNTS = [0, -1, 1.0, 2.5, math.nan, True, None, "8", [8]]
NO_NUMBERS = [math.nan, math.inf, -math.inf, None, "0.1", True, [0.1]]
NO_TOKENS = [-1, 50257, 1.0, True, "7"]
WRONG = {
    "vocab_size": NO_COUNTS,
    "n_positions": NO_COUNTS,
    "n_embd": NO_COUNTS + [770],                     # 12 heads do not divide it
    "n_layer": NO_COUNTS,
    "n_head": NO_COUNTS + [5, 769],
    "n_inner": [value for value in NO_COUNTS if value is not None],
    "activation_function": ["tanh", "", None, 1, ["relu"], {}],
    "resid_pdrop": [-0.1, 1, 1.5, *NO_NUMBERS],
    "embd_pdrop": [-0.1, 1, 1.5, *NO_NUMBERS],
    "attn_pdrop": [-0.1, 1, 1.5, *NO_NUMBERS],
    "layer_norm_epsilon": [0, 0.0, -1e-5, *NO_NUMBERS],
    "initializer_range": [-0.02, *NO_NUMBERS],
    "tie_word_embeddings": [0, 1, None, "true"],
    "position_embedding_type": ["rotary", "", None, 1, ["learned"]],
    "pre_layer_norm": [0, 1, None, "true"],
    "window_size": [value for value in NO_COUNTS if value is not None],
    "qkv_bias": [0, 1, None, "true"],
    "bos_token_id": NO_TOKENS,
    "pad_token_id": NO_TOKENS,
    "eos_token_id": [*NO_TOKENS, (), (3, -1), (50257,), [3], ("7", 3)],
}


def test_every_field_is_checked():
    assert WRONG.keys() == {field.name for field in dataclasses.fields(GPTConfig)}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_with_the_rule(name, value):
    culprit = "n_head" if (name, value) == ("n_embd", 770) else name
    with pytest.raises(InputError, match=f"^{culprit} must be "):
        GPTConfig(**{name: value})


@pytest.mark.parametrize("name, value", [
    *(("type_vocab_size", value) for value in [*NO_COUNTS, MOST_SEGMENTS + 1]), ("tie_word_embeddings", 1), ("n_layer", 0)])
def test_a_wrong_value_of_a_bert_is_named_with_the_rule(name, value):
    with pytest.raises(InputError, match=f"^{name} must be "):
        BertConfig(**{name: value})


@pytest.mark.parametrize("segments", [1, MOST_SEGMENTS])
def test_a_bert_may_have_one_segment_or_many(segments):
    assert BertConfig(type_vocab_size=segments).type_vocab_size == segments


def test_the_message_says_which_values_are_allowed():
    with pytest.raises(InputError, match=r"^n_head must be a divisor of n_embd \(768\), not 5$"):
        GPTConfig(n_head=5)
    with pytest.raises(InputError, match=r"^activation_function must be one of .*gelu_new.*, not 'tanh'$"):
        GPTConfig(activation_function="tanh")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.none() | st.integers(1, 9),
       st.floats(0, 1, exclude_max=True))
def test_sizes_that_fit_are_accepted(n_head, width, others, n_inner, dropout):
    GPTConfig(vocab_size=others, n_positions=others, n_layer=others, n_head=n_head, n_embd=n_head * width, n_inner=n_inner,
              resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, initializer_range=0, bos_token_id=others - 1)


def test_the_feed_forward_is_four_times_as_wide_unless_n_inner_is_given():
    assert GPTConfig(n_embd=24).inner == 96
    assert GPTConfig(n_embd=24, n_inner=7).inner == 7


def test_the_end_of_text_is_marked_by_one_token_or_several_or_none():
    assert [GPTConfig(eos_token_id=end).end_tokens for end in (None, 0, (3,), (3, 0))] == [(), (0,), (3,), (3, 0)]


def test_without_dropout_changes_nothing_else():
    config = GPTConfig(resid_pdrop=0.1, embd_pdrop=0.2, attn_pdrop=0.3)
    assert config.without_dropout() == dataclasses.replace(config, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GPTConfig().n_embd = 24
