"""The picture of speed compared with PyTorch: bars as long as the ratios in the files of figures"""
import json
import re
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))       # the benchmarks are not installed

from benchmarks.speed_picture import main  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
ZEN = {"small": {"eager": (1.25, 1.1, 1.4), "compiled": (0.5, 0.4, 0.6)}, "gpt2": {"eager": (1.6, 1.5, 2.9)}, "medium": {}}
XEON = {"small": {"eager": (0.8, 0.7, 0.9)}}


def written(path, results, name="Xeon <2>"):
    """A file of figures, with what the picture needs of it."""
    figures = {shape: {mode: {"npgpt over torch": dict(zip(("speed", "speed low", "speed high"), ratio))}
                       for mode, ratio in modes.items()} for shape, modes in results.items()}
    machine = {"CPU": name, "date": "2026-11-26 17:41 UTC"}
    path.write_text(json.dumps({"machine": machine, "results": {"versus_torch": figures}}))
    return str(path)


@pytest.fixture
def drawn(tmp_path):
    file = tmp_path / "speed.svg"
    main([written(tmp_path / "zen.json", ZEN, "Zen"), written(tmp_path / "xeon.json", XEON), "--svg", str(file)])
    return tree.parse(file).getroot()


def marks(root, kind):
    """The numbers of the paths of a kind."""
    paths = [path.get("d") for path in root.iter(SVG + "path") if path.get("class") == kind]
    return [list(map(float, re.findall(r"[\d.]+", path))) for path in paths]


def test_bars_and_quartiles_are_in_proportion_to_the_ratios(drawn):
    ratios = [ratio for results in (ZEN, XEON) for modes in results.values() for ratio in modes.values()]
    bars = [one for one in drawn.iter(SVG + "rect") if one.get("class") and one.get("width") != one.get("height")]
    assert [one.get("class") for one in bars] == ["c0", "c1", "c0", "c0"]
    left = float(bars[0].get("x"))
    scale = float(bars[0].get("width")) / ratios[0][0]
    for one, quartiles, ratio in zip(bars, marks(drawn, "quartiles"), ratios, strict=True):
        drawn_ratio = [float(one.get("width")), quartiles[0] - left, quartiles[2] - left]
        assert drawn_ratio == pytest.approx([scale * value for value in ratio], abs=0.2)
    _, *equal = marks(drawn, "one")                                # the first is the legend's
    assert [x - left for x, _, _ in equal] == pytest.approx([scale] * 3, abs=0.2)


def test_everything_is_inside_the_picture_and_says_what_it_is(drawn):
    width, height = map(float, drawn.get("viewBox").split()[2:])
    texts = list(drawn.iter(SVG + "text"))
    assert all(0 <= float(one.get("x")) <= width and 0 <= float(one.get("y")) <= height for one in texts)
    assert max(place[2] for place in marks(drawn, "quartiles")) < width
    said = [one.text for one in texts]
    assert {"Zen, 2026-11-26", "Xeon <2>, 2026-11-26", "small: nanoGPT's CPU recipe", "1.25", "0.50", "0.80"} <= set(said)
    assert not [line for line in said if line.startswith("medium")]                # which was not compared


def test_processors_may_be_given_names(tmp_path):
    main([written(tmp_path / "a.json", XEON), "--names", "Sapphire Rapids", "--svg", str(tmp_path / "speed.svg")])
    said = (tmp_path / "speed.svg").read_text(encoding="utf-8")
    assert "Sapphire Rapids, 2026-11-26" in said and "Xeon" not in said


@pytest.mark.parametrize("arguments, complaint", [
    (["none.json"], "none.json has no figures of versus_torch; python -m benchmarks versus_torch --json FILE writes them"),
    (["missing.json"], "missing.json: No such file"),
    (["figures.json", "--names", "a", "b"], "--names gives 2 names to 1 files")])
def test_a_mistake_is_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    written(Path("figures.json"), XEON)
    Path("none.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--svg", "speed.svg"])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err and not Path("speed.svg").exists()
