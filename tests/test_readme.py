"""What the README shows is what there is."""
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_layer_shown_is_the_source():
    source = (PROJECT / "npgpt/layers/layer_norm.py").read_text(encoding="utf-8")
    shown = next(block for block in blocks("python") if "def layer_norm(" in block)
    assert shown.strip() in source


def test_the_examples_run(capsys):
    for block in blocks("python"):
        if "import" in block:
            exec(compile(block, "README.md", "exec"), {})
    assert "ok" in capsys.readouterr().out


@pytest.mark.parametrize("path", re.findall(r"\]\(((?:npgpt|tests|benchmarks)[^)]*)\)", README))
def test_every_link_leads_somewhere(path):
    assert (PROJECT / path).exists()


def test_every_source_file_is_in_the_reading_order():
    shown = {link.rpartition("/")[2] for link in re.findall(r"\]\((npgpt/[^)]*)\)", README)} | set(re.findall(r"\[(\w+\.py)\]", README))
    folders = [PROJECT / "npgpt" / name for name in ("layers", "model", "training", "checking")]
    files = {path.name for folder in folders for path in folder.glob("*.py")} - {"__init__.py"}
    assert files <= shown
