"""The loss curve in a terminal"""
import numpy as np
import pytest

from npgpt.inspection.metrics import Curve, Run
from npgpt.inspection.terminal_curve import HEIGHT, WIDTH, loss_curve

NOTHING = Curve(np.array([]), np.array([]))


def run(loss=NOTHING, validation=NOTHING):
    return Run("run", loss, validation, NOTHING, NOTHING, NOTHING, "")


def line(steps, values):
    return Curve(np.array(steps, float), np.array(values, float))


def test_a_falling_loss_falls_from_the_first_figure_to_the_last():
    shown = loss_curve(run(line([1, 60], [4, 1])), "ascii").splitlines()
    assert shown[0] == "loss in training" and shown[1].startswith("4.000 +*") and shown[HEIGHT].startswith("1.000 +")
    assert shown[HEIGHT].endswith("*") and len(shown[HEIGHT]) == len("1.000 +") + WIDTH
    assert shown[-2] == "      +" + "-" * WIDTH and shown[-1].split() == ["step", "1", "60"]
    columns = [next(y for y in range(HEIGHT) if x < len(shown[1 + y]) and shown[1 + y][x] == "*") for x in range(7, 7 + WIDTH)]
    assert columns == sorted(columns)


def test_validation_is_marked():
    shown = loss_curve(run(line([1, 2, 3], [4, 3, 2]), line([3], [4])), "ascii").splitlines()
    assert shown[0] == "loss in training, and in validation (o)" and shown[1][-1] == "o"


def test_braille_has_eight_dots_a_character_where_the_encoding_has_them():
    fine = loss_curve(run(line(range(1, 200), np.linspace(4, 1, 199))))
    assert "*" not in fine and "⠑" in fine and all(len(text) <= WIDTH + 7 for text in fine.splitlines())
    for encoding in ("ascii", "latin-1", None, "nonsense"):
        assert loss_curve(run(line([1, 2], [2, 1])), encoding).isascii()
    assert not loss_curve(run(line([1, 2], [2, 1])), "utf-8").isascii()


@pytest.mark.parametrize("one", [run(line([7], [2])), run(validation=line([7], [2])), run(line([1, 2], [3, 3])),
                                 run(line([0, 1e99], [1e99, -1e99])), run(line([1], [1]), line([5], [2]))])
def test_few_or_wild_points_are_drawn_as_well(one):
    for encoding in ("utf-8", "ascii"):
        assert len(loss_curve(one, encoding).splitlines()) == HEIGHT + 3
