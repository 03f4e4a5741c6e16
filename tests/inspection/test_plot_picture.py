"""The picture of training curves"""
import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest

from npgpt.inspection.metrics import Curve, Run
from npgpt.inspection.plot_picture import plot_picture

NOTHING = Curve(np.array([]), np.array([]))
STEPS = np.arange(1.0, 201)


def run(name="run", factor=1.0, validation=True):
    loss = Curve(STEPS, factor * (1 + 1 / STEPS))
    return Run(name, loss, Curve(STEPS[9::10], loss.values[9::10] + 0.1) if validation else NOTHING, NOTHING, NOTHING, NOTHING, "")


def elements(runs, tag):
    return list(tree.fromstring(plot_picture(runs)).iter("{http://www.w3.org/2000/svg}" + tag))


@pytest.mark.parametrize("number", [1, 3])
def test_every_run_has_its_curves_and_if_there_are_several_its_name(number):
    runs = [run(f"run <{i}>", 1 + i) for i in range(number)]
    curves = [path.get("class") for path in elements(runs, "path") if "L" in path.get("d")]
    assert sorted(curves) == sorted(number * ["raw", "train", "validation"])
    names = [one.text for one in elements(runs, "text") if one.text.startswith("run")]
    assert names == ([one.name for one in runs] if number > 1 else [])


def test_a_lower_loss_is_drawn_lower_and_later_steps_to_the_right():
    path, = (path for path in elements([run()], "path") if path.get("class") == "train")
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", path.get("d")), float).T
    assert (np.diff(x) > 0).all() and (np.diff(y[5:-5]) >= 0).all() and y[0] < y[-1]


def test_a_run_without_validation_is_drawn_as_well():
    assert not [path for path in elements([run(validation=False)], "path") if path.get("class") == "validation"]


def test_runs_with_different_tokenizers_are_drawn_in_bits_a_byte():
    runs = [one._replace(bits_per_byte=Curve(one.validation_loss.steps, one.validation_loss.values * factor))
            for one, factor in ((run(), 1), (run(), 0.5))]
    assert b"bits a byte" in plot_picture(runs) and b"bits a byte" not in plot_picture(runs[:1])
