"""npgpt's side: a process that holds a model and a batch, and makes training steps when it is asked.

A step is the whole of it: forward, loss, backward, clipping, AdamW.
"""
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.peer import page_faults, peak_memory, serve
from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.parallel.memory import keep_freed_memory
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, gpt_backward
from npgpt.training.adamw import AdamW, clip_scale, norm
from npgpt.parallel.data_parallel import parallel_gradients


class TrainingRun:
    """What is kept between requests."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def start(self, folder: str, config: dict, rate: float, betas: list[float], weight_decay: float, clip: float,
              threads: int, **unused: object) -> dict:
        """Load the weights and the batch. No step is made yet."""
        kept = keep_freed_memory()
        self.parameters, self.ids, self.targets = (
            np.load(Path(folder) / f"{name}.npy", allow_pickle=False) for name in ("parameters", "ids", "targets"))
        self.config, self.rate, self.clip = GPTConfig(**config), rate, clip
        self.optimiser = AdamW(self.parameters, self.config, *betas, weight_decay, threads=threads)
        self.rng = np.random.default_rng(0)
        self.gradients_of = self.stack.enter_context(parallel_gradients(threads))
        return {"versions": f"NumPy {np.__version__}", "freed memory kept": kept}

    def burst(self, steps: int) -> dict:
        """Make steps  ->  for each its loss, seconds until the gradients are there, seconds after that, page faults"""
        losses, gradient_seconds, optimiser_seconds, faults = [], [], [], []
        for _ in range(steps):
            before = page_faults()
            start = time.perf_counter()
            loss, gradients = self.gradients_of(self.ids, self.targets, self.parameters, self.config, self.rng, 1.0)
            middle = time.perf_counter()
            self.optimise(gradients)
            del gradients                       # or they would lie beside the next step's
            gradient_seconds.append(middle - start)
            optimiser_seconds.append(time.perf_counter() - middle)
            losses.append(loss)
            faults.append(page_faults() - before)
        return {"losses": losses, "gradients": gradient_seconds, "optimiser": optimiser_seconds, "faults": faults,
                "seconds": [a + b for a, b in zip(gradient_seconds, optimiser_seconds)]}

    def optimise(self, gradients: np.ndarray) -> None:
        scale = clip_scale(norm(gradients), self.clip)
        self.optimiser.update(self.parameters, gradients, self.rate, scale)

    def phases(self, steps: int) -> dict:
        """Whole steps in this thread alone, forward and backward timed apart: loss_and_gradients in two pieces."""
        forward_seconds, backward_seconds = [], []
        for _ in range(steps):
            start = time.perf_counter()
            logits, cache = gpt(self.ids, self.parameters, self.config, self.rng)
            loss, loss_cache = cross_entropy(logits, self.targets)
            middle = time.perf_counter()
            del logits
            dlogits = cross_entropy_backward(1.0, loss_cache)
            del loss_cache
            gradients = gpt_backward(dlogits, cache, free=True)
            end = time.perf_counter()
            self.optimise(gradients)
            del cache, dlogits, gradients
            forward_seconds.append(middle - start)
            backward_seconds.append(end - middle)
        return {"forward": forward_seconds, "backward": backward_seconds}

    def memory(self) -> dict:
        return {"peak": peak_memory()}


if __name__ == "__main__":
    with ExitStack() as stack:
        run = TrainingRun(stack)
        serve({"start": run.start, "burst": run.burst, "phases": run.phases, "memory": run.memory})
