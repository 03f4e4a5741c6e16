"""Docstrings of Python's own library with their first lines: pairs for summarisation that every Python comes with."""
import ast
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from npgpt.text.examples import TranslationExample

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__phello__"}
SUMMARY, BODY = (15, 120), (80, 2000)           # characters: shorter ones say little, longer ones are no summaries


def python_summaries() -> list[TranslationExample]:
    """About 2,000 docstrings of functions, classes and modules: what follows the first paragraph, and that paragraph, if it
    is one line. Each pair once, in the order of the files.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts))
    pairs = dict.fromkeys(pair for path in files for pair in summaries(path.read_bytes()))
    return [TranslationExample(body, summary, line) for line, (body, summary) in enumerate(pairs, 1)]


def summaries(source: bytes) -> Iterator[tuple[str, str]]:
    """The body and the first line of the docstrings in a file of Python; nothing for one that cannot be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            summary, _, body = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")
            body = body.strip()
            if "\n" not in summary and SUMMARY[0] <= len(summary) <= SUMMARY[1] and BODY[0] <= len(body) <= BODY[1]:
                yield body, summary
