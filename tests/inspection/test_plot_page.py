"""The page of training curves"""
import re
import xml.etree.ElementTree as tree

import numpy as np

from npgpt.inspection.metrics import Curve, Run
from npgpt.inspection.plot_page import plot_page

NOTHING = Curve(np.array([]), np.array([]))


def run(name="run", steps=2000, seed=0):
    rng, x = np.random.default_rng(seed), np.arange(1.0, steps + 1)
    return Run(name, Curve(x, 1 + np.exp(-x / 500) + rng.normal(0, 0.1, steps)), Curve(x[::100], 1.1 + np.exp(-x[::100] / 500)),
               Curve(x, 1e-3 / x), Curve(x, np.exp(rng.normal(0, 1, steps))), NOTHING, "")


def figures(page):
    return [tree.fromstring(markup) for markup in re.findall(r"<figure.*?</figure>", page.decode(), re.DOTALL)]


def paths(figure, kind):
    return [path for path in figure.iter("path") if kind in path.get("class").split()]


def test_a_run_has_three_panels_whose_curves_stay_within_their_frames():
    loss, rate, norm = figures(plot_page([run()]))
    assert [len(paths(loss, kind)) for kind in ("raw", "train", "validation")] == [1, 1, 1]
    assert len(paths(rate, "train")) == 1 and len(paths(norm, "raw")) == 1
    for figure in (loss, rate, norm):
        for kind in ("raw", "train", "validation"):
            for path in paths(figure, kind):
                points = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", path.get("d")), float)
                left = float(re.match(r"M(\d+)", paths(figure, "axis")[0].get("d"))[1])
                assert (points.min(axis=0) >= (left, 12)).all() and (points.max(axis=0) <= (626, 292)).all()


def test_a_lower_loss_is_drawn_lower():
    down = paths(figures(plot_page([run()]))[0], "train")[0]
    heights = [float(y) for _, y in re.findall(r"([-\d.]+) ([-\d.]+)", down.get("d"))]
    assert heights[0] < heights[len(heights) // 2] < heights[-1]           # SVG counts from the top


def test_every_run_has_a_colour_and_a_line_in_the_table():
    page = plot_page([run("one"), run("<two>", seed=1)])
    assert {group.get("class") for figure in figures(page) for group in figure.iter("g")} == {"c0", "c1"}
    assert page.count(b'<th scope="row">') == 2 and b"&lt;two&gt;" in page and b"<two>" not in page


def test_the_table_has_the_last_losses_and_the_lowest_with_its_step():
    steps = np.array([10.0, 20, 1030, 40_000])
    loss, validation = Curve(steps, np.array([4.0, 3, 2, 1])), Curve(steps, np.array([5, 3, 2.5, 3.25]))
    page = plot_page([run()._replace(loss=loss, validation_loss=validation)])
    assert b"<td>40,000</td><td>1.0000</td><td>3.2500</td><td>2.5000 at 1,030</td>" in page


def test_long_runs_and_many_runs_make_a_light_page():
    assert len(plot_page([run(steps=200_000)])) < 200_000
    assert len(plot_page([run(str(i), steps=5_000, seed=i) for i in range(40)])) < 1_000_000


def test_a_measure_that_was_not_recorded_has_an_empty_panel():
    page = plot_page([run()._replace(gradient_norm=NOTHING, validation_loss=NOTHING)])
    assert b"was not recorded" in page
    assert b"</html>" in plot_page([run()._replace(loss=NOTHING, learning_rate=NOTHING)])
    assert b"</html>" in plot_page([run(steps=1)])


def test_the_page_says_where_curves_are_means():
    assert b"Training loss and gradient norm are means" in plot_page([run(steps=100)])
    assert b"are means" not in plot_page([run(steps=99)])


def test_runs_with_different_tokenizers_are_drawn_in_bits_a_byte():
    one = run("one")
    other = one._replace(name="other", bits_per_byte=Curve(one.validation_loss.steps, one.validation_loss.values * 0.5))
    one = one._replace(bits_per_byte=one.validation_loss)
    page = plot_page([one, other])
    assert b"bits a byte" in page and b"nats a token" not in page
    validation = [paths(group, "validation")[0].get("d") for group in figures(page)[0].iter("g") if paths(group, "validation")]
    assert len(set(validation)) == 2                                       # in nats they coincide
    assert b"nats a token" in plot_page([one, one]) and b"bits a byte" not in plot_page([one, one])
