"""npgpt.attention_maps: what a session prints and a notebook shows"""
from xml.etree import ElementTree

import numpy as np
import pytest

import npgpt
from npgpt.errors import InputError
from npgpt.inspection.attention import attended
from npgpt.inspection.heat_map import heat_map
from npgpt.model.heads import Head, model_table
from npgpt.model.parameters import initial_parameters
from npgpt.tasks.masking import SPECIAL
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

TOKENIZER = CharacterTokenizer("abc \n")


@pytest.fixture
def model():
    config = npgpt.preset("tiny", vocab_size=5, initializer_range=0.5)
    model = npgpt.Model(np.zeros(0), config, TOKENIZER)
    return model._replace(parameters=initial_parameters(model.table))


def test_maps_print_as_the_command_prints_them(model):
    maps = npgpt.attention_maps(model, "ab c\n", layers=[1], heads=[2, 0])
    weights, _ = attended(TOKENIZER.encode("ab c\n"), model.parameters, model.config)
    assert np.array_equal(maps.weights, weights) and maps.tokens == ("a", "b", "␣", "c", "\\n")
    lines = repr(maps).splitlines()
    assert lines[0].startswith("weights from") and lines[2].split("   ")[0].strip() == "layer 1 head 2"
    for line, *both in zip(lines[3:], *(heat_map(weights[1, head], maps.tokens) for head in (2, 0)), strict=True):
        assert line.split() == " ".join(both).split()


def test_all_maps_are_shown_unless_some_are_chosen_and_many_are_cut(model, monkeypatch):
    titles = [f"layer {layer} head {head}" for layer in range(2) for head in range(3)]
    assert all(title in repr(npgpt.attention_maps(model, "abc")) for title in titles)
    monkeypatch.setattr("npgpt.inspection.attention_maps.MOST", 3)
    cut = repr(npgpt.attention_maps(model, "abc"))
    assert all(title in cut for title in titles[:3]) and titles[3] not in cut and "layers 1 to 1: choose" in cut


def test_a_notebook_shows_a_picture(model):
    picture = npgpt.attention_maps(model, "abc", layers=[0])._repr_svg_()
    texts = [element.text for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text.startswith("layer")] == [f"layer 0, head {head}" for head in range(3)]


@pytest.mark.parametrize("text, settings, complaint", [
    ("", {}, "the text has 0 tokens"), ("abcabcabc", {}, "9 tokens; from 1 to 8"),
    ("abc", {"layers": [2]}, "layers must be from 0 to 1 in this model, not 2"),
    ("abc", {"heads": [-1]}, "heads must be from 0 to 2 in this model, not -1")])
def test_what_cannot_be_shown_is_refused(model, text, settings, complaint):
    with pytest.raises(InputError, match=complaint):
        npgpt.attention_maps(model, text, **settings)


def test_a_bert_attends_to_both_sides():
    bert = new_model("bert-small")
    maps = npgpt.attention_maps(bert, "a[MASK]c")
    assert maps.tokens == ("[CLS]", "a", "[MASK]", "c", "[SEP]") and maps.weights.shape == (2, 4, 5, 5)
    assert maps.weights.min() > 0 and np.allclose(maps.weights.sum(axis=-1), 1, atol=1e-6)


def test_other_models_are_refused(model):
    tagger = new_model("bert-small")._replace(heads=(Head("tagging", ("O", "B-TERM")),))
    for other, complaint in ((model._replace(tokenizer=None), "a tokenizer"), (tagger, "a head for tagging"),
                             (new_model("transformer-small"), "npgpt translate")):
        with pytest.raises(InputError, match=complaint):
            npgpt.attention_maps(other, "abc")


def new_model(name):
    tokenizer = with_special_tokens(TOKENIZER, SPECIAL)
    config = npgpt.preset(name, vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.special_tokens["[PAD]"])
    return npgpt.Model(initial_parameters(model_table(config)), config, tokenizer)
