"""versus_transformers: prefill and decoding, in transformers too; npgpt and transformers take turns."""
import dataclasses
import subprocess
import tempfile
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.machine import processor
from benchmarks.peer import Peer, PeerError
from benchmarks.shapes import SHAPES, Plan
from benchmarks.table import Table, megabytes, milliseconds, paragraph, spread
from benchmarks.timing import Rounds, speed, summarise, take_turns
from benchmarks.versus_torch import PAUSE
from npgpt.interop.huggingface import save
from npgpt.model.model import Model

CONTEXT = 1024               # of both models
NEW_TOKENS = 32              # of decoding, after a prompt of as many
EFFORT, SHORT_EFFORT = Rounds(2, 11, 1, 0.5), Rounds(1, 3, 1, 0.2)
COLUMNS = (("work, tokens", -20), ("npgpt ms", 8), ("spread", 6), ("torch ms", 8), ("spread", 6),
           ("npgpt MB", 8), ("torch MB", 8), ("speed", 5), ("quartiles", 11), ("processor", -10))


class Work(NamedTuple):
    """A prompt, and how many tokens follow it: with one, almost all of the time is that of the prefill."""
    model: str                                  # of SHAPES
    prompt: int                                 # tokens
    new: int                                    # tokens

    @property
    def title(self) -> str:
        return f"{self.model}: {f'prefill {self.prompt}' if self.new == 1 else f'decode {self.new}'}"


WORKS = [Work("small", 200, 1), Work("gpt2", 512, 1), Work("gpt2", 900, 1), Work("small", NEW_TOKENS, NEW_TOKENS),
         Work("gpt2", NEW_TOKENS, NEW_TOKENS)]


def run(plan: Plan) -> dict:
    """Print a row for each prompt and each continuation  ->  {title: figures}"""
    if not has_transformers(plan.torch_python):
        print(f"left out: no transformers could be imported by {plan.torch_python} (see --torch-python)")
        return {}
    effort = SHORT_EFFORT if plan.short else EFFORT
    paragraph(f"""generate() of both libraries for one text, greedy, with their key-value caches, {plan.threads} threads; the
        prefill of a prompt, and {NEW_TOKENS} tokens after a prompt of {NEW_TOKENS}. {effort}. Speed is the median time of
        transformers over that of npgpt: above 1 npgpt is faster.""")
    print()
    table, results = Table(*COLUMNS), {}
    names = {shape.name for shape in plan.shapes}
    for work in WORKS:
        if work.model in names:
            try:
                results[work.title] = compare(work, plan, effort, table)
            except PeerError as error:
                paragraph(f"{work.title}: not compared. {error}")
    return results


def compare(work: Work, plan: Plan, effort: Rounds, table: Table) -> dict:
    """Let both sides continue the same prompt with the same model, and print a row  ->  its figures. Raises PeerError."""
    shape = next(shape for shape in SHAPES if shape.name == work.model)
    shape = shape._replace(config=dataclasses.replace(shape.config, n_positions=CONTEXT))
    prompt = np.random.default_rng(0).integers(shape.config.vocab_size, size=work.prompt).tolist()
    with tempfile.TemporaryDirectory() as folder:
        save(folder, Model(shape.parameters(), shape.config, None))
        with Peer("generation_peer") as npgpt, Peer("transformers_peer", plan.torch_python) as transformers:
            sides = [npgpt, transformers]
            for side in sides:
                side.ask("start", folder=folder, prompt=prompt, new=work.new, threads=plan.threads)
            warmups = [side.ask("burst", steps=effort.warmup)["steps"] for side in sides]
            ours, theirs = (warmup[0]["first"] for warmup in warmups)
            if ours != theirs:
                raise PeerError(f"npgpt continues with token {ours}, transformers with {theirs}")
            bursts = [partial(side.burst, effort.steps(warmup)) for side, warmup in zip(sides, warmups)]
            found = take_turns(bursts, effort.rounds, PAUSE)
            peaks = [side.ask("memory")["peak"] for side in sides]
    seconds = [[[step["seconds"] for step in burst] for burst in side] for side in found]
    ours, theirs = (summarise(sum(side, [])) for side in seconds)
    ratio = speed(*seconds)
    table.row(work.title, milliseconds(ours), spread(ours), milliseconds(theirs), spread(theirs),
              *map(megabytes, peaks), f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}", processor())
    return {"npgpt": ours.figures(), "transformers": theirs.figures(),
            "npgpt over transformers": {"speed": ratio.median, "speed low": ratio.low, "speed high": ratio.high}}


def has_transformers(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", "import torch, transformers"], capture_output=True).returncode == 0
    except OSError:
        return False
