"""Distributions: a wheel has everything that the package needs when it runs, a source distribution everything there is."""
import configparser
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FOLDERS = ("npgpt", "tests", "benchmarks")
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def files_below(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if "__pycache__" not in name}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the project, in which setuptools has built the source distribution, and in lib/ what a wheel contains."""
    pytest.importorskip("setuptools")
    copy = tmp_path_factory.mktemp("project")
    for name in FOLDERS:
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(PROJECT / name, copy / name)
    build = "from setuptools import setup; setup(script_args=['-q', 'sdist', 'build', '--build-lib', 'lib'])"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    return copy


def test_the_source_distribution_has_every_file(built):
    archive, = (built / "dist").iterdir()
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {*FILES, *(f"{folder}/{name}" for folder in FOLDERS for name in files_below(built / folder))} <= names


def test_a_wheel_has_the_package_with_its_data_and_nothing_else(built):
    pages = (".md", ".svg")                     # README files and their pictures, which the package does not need
    package = {f"npgpt/{name}" for name in files_below(built / "npgpt") if not name.endswith(pages)}
    assert files_below(built / "lib") == package and "npgpt/py.typed" in package


def test_the_metadata_says_who_made_it_and_what_it_is_for():
    metadata = configparser.ConfigParser()
    metadata.read(PROJECT / "setup.cfg", encoding="utf-8")
    stated = metadata["metadata"]
    assert stated["author"] == "npgpt contributors" and stated["license"] == "MIT"
    assert stated["long_description"] == "file: README.md"
    versions = [line.rpartition(" :: ")[2] for line in stated["classifiers"].splitlines() if "Python :: 3." in line]
    assert f">={versions[0]}" == metadata["options"]["python_requires"]
