"""The command `sdist` of setuptools, for setup.cfg: the source distribution has all pages and tests, so that the tests
can be run from it. By itself setuptools takes the package, its data, and the tests in the top folder only.
"""
from pathlib import Path

from setuptools.command.sdist import sdist


class SourceDistribution(sdist):
    def make_distribution(self) -> None:
        for folder in ("npgpt", "tests", "benchmarks"):
            files = [path for path in Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
            self.filelist.extend(sorted({str(path) for path in files} - set(self.filelist.files)))
        super().make_distribution()
