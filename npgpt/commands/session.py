"""npgpt train, from its first step to its last: what is done with each, and what a finished run shows."""
import argparse
import itertools
import math
import sys

import numpy as np

from npgpt.commands.materials import Materials
from npgpt.commands.progress import TrainingProgress, clock
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.inspection.terminal_curve import curve_of
from npgpt.training.evaluation import evaluate
from npgpt.runs.interrupt import Interrupt
from npgpt.runs.recorder import Recorder
from npgpt.training.trainer import Diverged, Step, TrainingSettings, TrainingState

VALIDATION_TOKENS = 8192     # looked at while training; at the end it is the whole split
SAMPLE_TOKENS = 400


class Session:
    """What one command trains, and with whom it shares each step: the terminal, the disk."""

    def __init__(self, args: argparse.Namespace, materials: Materials, settings: TrainingSettings, state: TrainingState,
                 recorder: Recorder, progress: TrainingProgress) -> None:
        self.args, self.materials, self.settings = args, materials, settings
        self.state, self.recorder, self.progress = state, recorder, progress
        self.config, self.corpus = materials.config, materials.corpus

    def start(self) -> None:
        """Save the state before the first step, so that --resume works from then on, and start the clock."""
        last = self.recorder.metrics.last
        if last < self.state.step:
            self.progress.line(f"{self.recorder.metrics.path} is damaged: "
                               f"the history of steps {last + 1} to {self.state.step} is lost")
        if self.recorder.fresh and self.sound():
            self.recorder.save()
        self.progress.start_clock(self.state.step)

    def take(self, step: Step, interrupt: Interrupt) -> bool:
        """Look, note, save and report where it is time after a step  ->  whether to stop here, as was asked

        Raises Diverged where the model to save is worth nothing, OSError where it cannot be written.
        """
        self.progress.count(step)
        last, validation_loss = step.number == self.settings.steps, None
        if step.number % self.args.eval_every == 0 or last:
            validation_loss = self.sampled_loss()
        stop = bool(interrupt.came)                            # asked once: who stops has saved
        if self.recorder.note(step, validation_loss) or last or stop:
            if not self.sound():
                raise Diverged(f"after step {step.number} the validation loss is no finite number: "
                               "a lower learning rate may help")
            self.recorder.save()
        if validation_loss is not None and not last:
            self.progress.report(step, validation_loss)
        return stop

    def sampled_loss(self) -> float:
        """The validation loss over the beginning of the validation text."""
        sample = self.corpus.validation[:VALIDATION_TOKENS + 1]
        return evaluate(self.state.parameters, self.config, sample, self.settings.batch_size)

    def sound(self) -> bool:
        """Whether the model gives a finite loss, in the first context of the validation text: one that does not must
        not take a good one's place.
        """
        window = self.corpus.validation[:self.config.n_positions + 1]
        return math.isfinite(evaluate(self.state.parameters, self.config, window))

    def conclude(self, step: Step) -> None:
        """What a finished run shows: the loss over the whole validation text, how it went, what the model writes."""
        seconds, validation = self.progress.seconds(), self.corpus.validation
        self.progress.report(step, evaluate(self.state.parameters, self.config, validation, self.settings.batch_size))
        self.progress.line(f"trained in {clock(seconds)}; the validation loss is over all {len(validation):,} tokens of its "
                           f"split; {self.recorder.how_to_go_on()}")
        self.progress.line(curve_of(self.args.out, sys.stderr.encoding))
        if self.materials.tokenizer is not None:
            print_sample(self.state.parameters, self.materials, self.settings.seed)
        self.progress.line(f"next: npgpt generate --model {self.args.out}")


def print_sample(parameters: np.ndarray, materials: Materials, seed: int) -> None:
    prompt = default_prompt(materials.config, materials.tokenizer)
    tokens = generate(parameters, materials.config, prompt, np.random.default_rng(seed), temperature=0.8)
    text = "".join(stream_text(itertools.islice(tokens, SAMPLE_TOKENS), materials.tokenizer))
    print("\n" + text.strip() + "\n", flush=True)
