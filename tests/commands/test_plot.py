"""npgpt plot"""
import json
import os
import xml.etree.ElementTree as tree

import pytest

from npgpt.runs.metrics import METRICS_FILE


@pytest.fixture
def trained(tmp_path):
    """A folder with metrics of 30 steps."""
    def make(name):
        (tmp_path / name).mkdir()
        (tmp_path / name / METRICS_FILE).write_text("".join(json.dumps(
            {"step": step, "loss": 4 / step, "learning_rate": 0.1, "gradient_norm": 1.0,
             **({"validation_loss": 5 / step} if step % 10 == 0 else {})}) + "\n" for step in range(1, 31)))
        return tmp_path / name
    return make


def test_the_curve_of_the_run_in_out_is_drawn(npgpt, trained):
    trained("out")
    outcome = npgpt("plot")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("out\nloss in training, and in validation (o)\n4.000 ") and "step 1 " in outcome.out


def test_every_run_has_its_curve(npgpt, trained):
    trained("a"), trained("b")
    shown = npgpt("plot", "a", f"b/{METRICS_FILE}", "a").out
    assert shown.startswith("a\nloss") and f"\n\nb/{METRICS_FILE}\nloss" in shown and shown.count("loss in") == 2


def test_a_page_holds_all_runs(npgpt, trained, tmp_path):
    trained("a"), trained("b")
    outcome = npgpt("plot", "a", "b", "--html", "p.html")
    assert (outcome.status, outcome.err) == (0, "") and outcome.out.startswith("p.html: ")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 3 and page.count('<th scope="row">') == 2


def test_a_picture_holds_all_runs(npgpt, trained, tmp_path):
    trained("a"), trained("b")
    outcome = npgpt("plot", "a", "b", "--svg", "p.svg")
    assert (outcome.status, outcome.err) == (0, "") and outcome.out.startswith("p.svg: ")
    names = [one.text for one in tree.parse(tmp_path / "p.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "a" in names and "b" in names


def test_a_page_is_written_through_a_symbolic_link_and_never_over_a_pipe(npgpt, trained, refused, tmp_path):
    trained("out")
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link").symlink_to("page.html")
    assert npgpt("plot", "--html", "link").out.startswith("link: ")
    assert (tmp_path / "link").is_symlink() and "<figure" in (tmp_path / "page.html").read_text(encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is not a file" in refused("plot", "--html", "pipe")


@pytest.mark.parametrize("losses", [(0, 5e-324), (5e-324, 5e-324), (5e-324, 1.0), (1e99, 5e-324), (-1e-320, 1e-320)])
def test_losses_that_are_almost_0_are_drawn(npgpt, tmp_path, losses):
    (tmp_path / METRICS_FILE).write_text("".join(
        json.dumps({"step": step, "loss": loss, "learning_rate": loss, "gradient_norm": loss}) + "\n"
        for step, loss in enumerate(losses, 1)))
    for option in ((), ("--html", "p.html")):
        outcome = npgpt("plot", METRICS_FILE, *option)
        assert (outcome.status, outcome.err) == (0, "")


def test_lines_that_are_skipped_are_named(npgpt, trained):
    with open(trained("out") / METRICS_FILE, "a") as file:
        file.write('{"step": 31, "lo')
    outcome = npgpt("plot")
    assert outcome.status == 0
    assert outcome.err == f"npgpt: out/{METRICS_FILE}: skipped what cannot be read: line 31 (incomplete)\n"


def test_mistakes_are_explained(refused, text, model):
    assert "out is not a run: a model directory with metrics.jsonl, or that file, was expected" in refused("plot")
    assert "model is not a run" in refused("plot", model)
    assert "text.txt holds no metrics: line 1 cannot be read" in refused("plot", text)
    assert "text.txt holds no metrics" in refused("plot", text, "--html", "p.html")
    assert "argument --svg: not allowed with argument --html" in refused("plot", "--html", "p.html", "--svg", "p.svg")
