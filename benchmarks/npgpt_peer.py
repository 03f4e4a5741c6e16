"""npgpt's side: a process that makes whole training steps when asked, as training/trainer.py does."""
import time
from contextlib import ExitStack
from functools import partial

import numpy as np

from benchmarks.peer import memory, page_faults, serve
from benchmarks.shapes import DTYPE
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN
from npgpt.model.parameters import named_views, parameter_count
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.parallel.memory import keep_freed_memory
from npgpt.training.optimiser import Optimiser
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.tasks.task import Batch, Task
from npgpt.training.adamw import clip_scale


class TrainingRun:
    """The state between requests."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def start(self, file: str, config: dict, **settings: object) -> dict:
        """Load the weights and the batch. No step is made yet."""
        task = LanguageModelling(GPTConfig(**config))
        parameters = np.empty(parameter_count(task.table), DTYPE)
        with np.load(file, allow_pickle=False) as problem:
            batch = TokenBatch(problem["ids"], problem["targets"])
            for name, view in named_views(parameters, task.table).items():
                view[...] = problem[name]
        return self.prepare(task, parameters, batch, **settings)

    def prepare(self, task: Task, parameters: np.ndarray, batch: Batch, learning_rate: float, betas: list[float],
                weight_decay: float, clip: float, threads: int) -> dict:
        keep_freed_memory()
        self.task, self.parameters, self.batch, self.learning_rate, self.clip = task, parameters, batch, learning_rate, clip
        self.gradients = np.empty_like(self.parameters)
        self.optimiser = Optimiser(self.parameters, self.task.table, *betas, weight_decay, threads=threads)
        self.stack.callback(self.optimiser.close)
        self.rng = np.random.default_rng(0)
        self.loss_and_gradients = self.stack.enter_context(parallel_gradients(self.task, threads))
        if threads == 1:
            layers = PLAIN._replace(unembedding_backward=self.unembedding_backward)
            self.loss_and_gradients = partial(self.loss_and_gradients, layers=layers)
        return {"versions": f"NumPy {np.__version__}"}

    def burst(self, steps: int) -> dict:
        """Make steps  ->  for each its loss, its page faults, and its seconds, in all and of each part"""
        return {"steps": [self.step() for _ in range(steps)]}

    def step(self) -> dict[str, float]:
        faults, start, self.backward_start = page_faults(), time.perf_counter(), None
        loss, _ = self.loss_and_gradients(self.batch, self.parameters, self.rng, 1.0, self.gradients)
        middle = time.perf_counter()
        scale = clip_scale(self.optimiser.norm(self.gradients), self.clip)
        self.optimiser.update(self.parameters, self.gradients, self.learning_rate, scale)
        end = time.perf_counter()
        figures = {"loss": loss, "faults": page_faults() - faults, "seconds": end - start, "gradients": middle - start,
                   "optimiser": end - middle}
        if self.backward_start is not None:
            figures |= {"forward": self.backward_start - start, "backward": middle - self.backward_start}
        return figures

    def unembedding_backward(self, *arguments: object) -> tuple[np.ndarray, np.ndarray]:
        """The first layer of the backward pass, which notes when it begins: the loss counts as forward."""
        self.backward_start = time.perf_counter()
        return PLAIN.unembedding_backward(*arguments)


def serve_run(kind: type[TrainingRun]) -> None:
    with ExitStack() as stack:
        run = kind(stack)
        serve({"start": run.start, "burst": run.burst, "memory": memory})


if __name__ == "__main__":
    serve_run(TrainingRun)
