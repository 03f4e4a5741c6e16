"""npgpt's side of versus_transformers: a process that continues a prompt when asked."""
import itertools
import time
from contextlib import ExitStack

import numpy as np

from benchmarks.peer import memory, serve
from npgpt.commands.generate import NARROW
from npgpt.generation.generate import generate
from npgpt.interop.huggingface import load_model
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.memory import keep_freed_memory


class Continuation:
    """The state between requests."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def start(self, folder: str, prompt: list[int], new: int, threads: int) -> dict:
        keep_freed_memory()
        self.parameters, self.config = load_model(folder)
        self.prompt, self.new = prompt, new
        self.stack.enter_context(blas_threads(1 if self.config.n_embd < NARROW else threads))   # as npgpt generate does
        return {}

    def burst(self, steps: int) -> dict:
        """Continue the prompt so often  ->  for each its seconds and its first token"""
        return {"steps": [self.step() for _ in range(steps)]}

    def step(self) -> dict[str, float]:
        start = time.perf_counter()
        tokens = generate(self.parameters, self.config, self.prompt, np.random.default_rng(0), greedy=True)
        first, *_ = itertools.islice(tokens, self.new)
        return {"first": first, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    with ExitStack() as stack:
        run = Continuation(stack)
        serve({"start": run.start, "burst": run.burst, "memory": memory})
