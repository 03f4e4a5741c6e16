"""The picture of attention maps"""
import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest

from npgpt.inspection.attention_picture import attention_picture

SVG = "{http://www.w3.org/2000/svg}"


def maps(shown, weights, layers, heads):
    """Title of each map  ->  its cells: place from the top and the left in cells, opacity of the dark colour"""
    root = tree.fromstring(attention_picture(shown, weights, layers, heads))
    titles = [one.text for one in root.findall(SVG + "text")]
    return dict(zip(titles, [cells_of(group, len(shown)) for group in root.findall(SVG + "g")]))


def cells_of(group, T):
    cells = np.zeros((T, T))
    low, *shades = group.findall(SVG + "path")
    places = np.array(re.findall(r"M([\d.]+) ([\d.]+)", low.get("d")), float)
    size = places.max() / (T - 1)
    assert low.get("class") == "low" and len(places) == T * (T + 1) // 2
    for shade in shades:
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)", shade.get("d")):
            cells[round(float(y) / size), round(float(x) / size)] = shade.get("fill-opacity")
    return cells


def test_every_map_has_the_weights_of_its_layer_and_head():
    weights = np.tril(np.random.default_rng(0).random((2, 3, 4, 4)))
    found = maps("abcd", weights, [1, 5], [0, 2, 7])
    assert list(found) == [f"layer {layer}, head {head}" for layer in (1, 5) for head in (0, 2, 7)]
    for cells, one in zip(found.values(), weights.reshape(6, 4, 4)):
        np.testing.assert_allclose(cells, np.sqrt(one), atol=0.5 / 32 + 1e-3)


def test_tokens_label_rows_and_columns_where_there_is_room():
    def texts(T, heads):
        picture = attention_picture(["<s>"] * T, np.zeros((1, heads, T, T)), [0], range(heads))
        return [one.text for one in tree.fromstring(picture).iter(SVG + "text")]
    assert texts(5, 2).count("<s>") == 2 * 2 * 5 and texts(60, 4).count("<s>") == 0


@pytest.mark.parametrize("T, L, H", [(1, 1, 1), (3, 1, 2), (30, 2, 4), (80, 3, 5), (12, 7, 1)])
def test_maps_stay_within_the_picture_and_do_not_overlap(T, L, H):
    root = tree.fromstring(attention_picture("x" * T, np.zeros((L, H, T, T)), range(L), range(H)))
    width, height = map(float, root.get("viewBox").split()[2:])
    corners = [tuple(map(float, re.findall(r"[\d.]+", group.get("transform")))) for group in root.findall(SVG + "g")]
    last = re.findall(r"M([\d.]+) [\d.]+h([\d.]+)", root.find(f".//{SVG}path").get("d"))[-1]
    size = sum(map(float, last))
    assert width <= 851 and len(set(corners)) == L * H
    assert all(0 <= x <= x + size <= width and 0 <= y <= y + size <= height for x, y in corners)
    assert all(abs(x - u) > size or abs(y - v) > size for i, (x, y) in enumerate(corners) for u, v in corners[:i])
    titles = [(float(one.get("x")) + 30, float(one.get("y"))) for one in root.findall(SVG + "text")]       # 30: within it
    assert not any(u <= x <= u + size and v < y and y - 25 < v + size for x, y in titles for u, v in corners)
