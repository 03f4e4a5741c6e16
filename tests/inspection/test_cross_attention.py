"""Cross-attention of a translation, as numbers and as a picture."""
from xml.etree import ElementTree

import numpy as np
from hypothesis import given

from helpers import seeds
from npgpt.checking.model import unit_scale_parameters
from npgpt.checking.tasks import SMALL_ENCODER_DECODER
from npgpt.inspection.cross_attention import cross_attended, cross_attention_picture
from npgpt.model.heads import model_table

CONFIG = SMALL_ENCODER_DECODER
SVG = "{http://www.w3.org/2000/svg}"


@given(seeds)
def test_a_target_token_attends_to_the_source_before_it_is_known_itself(seed):
    parameters = unit_scale_parameters(model_table(CONFIG), np.random.default_rng(seed))
    source, target = np.array([3, 1, 4]), np.array([5, 2])
    weights = cross_attended(source, target, parameters, CONFIG)
    assert weights.shape == (CONFIG.decoder_layers, CONFIG.n_head, 2, 3)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=0, atol=1e-12)
    other = cross_attended(source, np.array([5, 6]), parameters, CONFIG)
    assert (other == weights).all()             # the last token is predicted, not read
    assert (cross_attended(source, np.array([6, 2]), parameters, CONFIG)[:, :, 1] != weights[:, :, 1]).any()


def test_the_picture_has_a_map_for_each_head_with_a_cell_for_each_pair_of_tokens():
    weights = np.zeros((1, 2, 3, 4))
    weights[..., 1] = 1
    root = ElementTree.fromstring(cross_attention_picture(["a", "<b", "c", "d"], ["x", "y", "z"], weights, [5], [0, 1]))
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert shown == ["layer 5, head 0", *"xyz", "a", "<b", "c", "d", "layer 5, head 1", *"xyz", "a", "<b", "c", "d"]
    paths = [element.get("d").count("M") for element in root.iter(f"{SVG}path")]
    assert paths == [12, 3, 12, 3]              # all cells, and the dark column
