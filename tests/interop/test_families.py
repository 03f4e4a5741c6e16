"""Families of models: which one a file names, which one a configuration belongs to, and its fields."""
import pytest

from npgpt.errors import InputError
from npgpt.interop.families import FAMILIES, family_in_file, family_of
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig

CONFIGS = {"gpt2": GPTConfig(), "openai-gpt": GPTConfig(pre_layer_norm=False), "bert": BertConfig(),
           "gpt_neo": GPTConfig(qkv_bias=False, window_size=256), "marian": EncoderDecoderConfig(pad_token_id=0)}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_writes_the_fields_that_it_reads(name):
    family = family_of(CONFIGS[name])
    assert family.model_type == name and family_in_file({"model_type": name}) is family
    fields = family.fields(CONFIGS[name])
    if name in ("bert", "marian"):                                 # where transformers allows no None
        assert None not in [value for field, value in fields.items() if field.endswith(("_size", "_dim", "_layers"))]
    assert family.fields(family.parse_config(fields)) == fields


def test_a_file_without_a_family_is_gpt2s():
    assert family_in_file({}).model_type == "gpt2"


@pytest.mark.parametrize("wrong", ["lstm", "", None, ["gpt2"], {"gpt2": 1}, 2])
def test_other_families_are_refused(wrong):
    with pytest.raises(InputError, match="npgpt supports openai-gpt, gpt2"):
        family_in_file({"model_type": wrong})
