"""Scoring choices by likelihood: npgpt, which computes what they have in common once, against transformers one by one.

    python -m benchmarks.scoring --torch-python PATH

The model is the smallest GPT-2 with random weights; each question has a few shots and four choices. Both sides take turns
and must find the same likelihoods. PATH is a Python that has torch and transformers.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from npgpt.interop.huggingface import save
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import PRESETS, preset
from npgpt.parallel.memory import keep_freed_memory
from npgpt.parallel.threads import available_cores
from npgpt.scoring.likelihood import Continuation, Likelihood, likelihoods

CHOICES = 4
TOLERANCE = 1e-3                                # of a log-probability, in nats a token
PEER = """
import json, sys, time
import torch
from transformers import GPT2LMHeadModel
torch.set_num_threads(int(sys.argv[2]))
model = GPT2LMHeadModel.from_pretrained(sys.argv[1]).eval()
continuations = json.load(open(sys.argv[1] + "/continuations.json"))
for _ in sys.stdin:
    start, found = time.perf_counter(), []
    with torch.no_grad():
        for context, ids in continuations:
            whole = torch.tensor([context + ids])
            logits = model(whole[:, :-1]).logits[0, -len(ids):]
            found.append(logits.log_softmax(-1).gather(1, whole[0, -len(ids):, None]).sum().item())
    print(json.dumps([time.perf_counter() - start, found]), flush=True)
"""


def questions(items: int, shots: int, length: int, vocab_size: int) -> list[Continuation]:
    """Random tokens: to each item its shots and question, and four choices of one to six tokens. length: of a shot."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(items):
        context = rng.integers(vocab_size, size=(shots + 1) * length).tolist()
        found += [Continuation(context, rng.integers(vocab_size, size=rng.integers(1, 7)).tolist()) for _ in range(CHOICES)]
    return found


def require_equal(found: Sequence[Likelihood], theirs: Sequence[float]) -> None:
    worst = max(abs(one.log_probability - other) / one.tokens for one, other in zip(found, theirs, strict=True))
    if worst > TOLERANCE:
        sys.exit(f"the two sides find likelihoods that differ by {worst:.1e} nats a token")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", required=True, metavar="PATH")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="gpt2", help="(default: gpt2, 124M parameters)")
    parser.add_argument("--items", type=int, default=4, metavar="N", help="questions (default: 4)")
    parser.add_argument("--shots", type=int, default=5, metavar="K", help="(default: 5)")
    parser.add_argument("--length", type=int, default=50, metavar="N",
                        help="tokens of a shot, and of a question (default: 50)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--threads", type=int, default=available_cores(), metavar="N", help="(default: all cores)")
    args = parser.parse_args(arguments)
    keep_freed_memory()
    config = preset(args.preset)
    model = Model(initial_parameters(language_model_table(config), 0), config, None)
    continuations = questions(args.items, args.shots, args.length, config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        save(folder, model)
        with open(f"{folder}/continuations.json", "w", encoding="utf-8") as file:
            json.dump([one[:2] for one in continuations], file)
        with subprocess.Popen([args.torch_python, "-c", PEER, folder, str(args.threads)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as peer:
            times: list[tuple[float, float]] = []
            for number in range(args.rounds + 1):              # the first round is not counted
                start = time.perf_counter()
                found = likelihoods(model, continuations)
                seconds = time.perf_counter() - start
                print(file=peer.stdin, flush=True)
                theirs, log_probabilities = json.loads(peer.stdout.readline())
                require_equal(found, log_probabilities)
                if number:
                    times.append((seconds, theirs))
            peer.stdin.close()
    ours, theirs = np.median(times, axis=0)
    print(f"{args.items} questions of {(args.shots + 1) * args.length} tokens, {CHOICES} choices each, {args.threads} "
          f"threads; medians of {args.rounds} rounds\nnpgpt {ours:.2f} s   transformers, one by one {theirs:.2f} s   ratio "
          f"{theirs / ours:.2f} ({', '.join(f'{b / a:.2f}' for a, b in times)})")


if __name__ == "__main__":
    main()
