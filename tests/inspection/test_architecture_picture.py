"""The picture of the architecture"""
import dataclasses
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest

from npgpt.inspection.architecture_picture import architecture_picture
from npgpt.model.config import GPTConfig
from npgpt.model.presets import preset

CONFIG = GPTConfig(vocab_size=103, n_positions=64, n_embd=128, n_layer=4, n_head=4)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(**changes):
    return tree.fromstring(architecture_picture(dataclasses.replace(CONFIG, **changes), B=12, T=64))


def texts(root):
    return [one.text for one in root.iter(SVG + "text")]


def test_sizes_are_those_of_the_configuration():
    assert "B 12, T 64, C 128, H 4, D 32, I 512, V 103" in texts(drawn()) and "4 blocks" in texts(drawn())
    assert "1 block" in texts(drawn(n_layer=1))


def test_the_picture_of_the_first_page_is_what_is_drawn_now():
    file = Path(__file__).parents[2] / "npgpt/model/architecture.svg"
    assert file.read_bytes() == architecture_picture(preset("gpt2"), B=4, T=64)


@pytest.mark.parametrize("changes, parts, other", [
    ({"tie_word_embeddings": False}, ["y wᵀ, a table of its own"], ["y wteᵀ, the same table"]),
    ({"position_embedding_type": "sinusoidal"}, ["+ sin, cos of positions"], ["+ wpe[0 .. T-1]"]),
    ({"pre_layer_norm": False}, ["dn += dsum", "dx += dsum"], ["dm += dy", "dx += dm"])])
def test_what_a_model_has_is_shown(changes, parts, other):
    assert set(parts) <= set(texts(drawn(**changes))) and not set(other) & set(texts(drawn(**changes)))
    assert set(other) <= set(texts(drawn())) and not set(parts) & set(texts(drawn()))


@pytest.mark.parametrize("pre", [True, False])
def test_every_array_has_a_gradient_except_the_ids(pre):
    root = drawn(pre_layer_norm=pre)
    arrays, gradients = ([one.text for one in root.iter(SVG + "text") if one.get("class") == kind][:-1]
                         for kind in ("forward", "gradient"))             # the last is in the legend
    sums = [text for text in gradients if "+=" in text]
    names = [text.split()[0] for text in arrays]
    assert names[0] == "ids" and len(sums) == 2
    assert sorted(set(gradients) - set(sums)) == sorted({"1", *("d" + name for name in names)} - {"dids", "dloss"})
    norms = texts(root).count("layer norm")
    assert norms == (3 if pre else 2)
