"""npgpt generate: let a trained model write."""
import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np

from npgpt.commands.arguments import OUT, count, path
from npgpt.commands.tokenize import visible
from npgpt.errors import InputError
from npgpt.generation.beam_search import beam_search
from npgpt.generation.generate import Choice, checked_prompt, default_prompt, generate_batch, stream_text
from npgpt.generation.sampling import check_sampling
from npgpt.interop.huggingface import load_model
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.memory import keep_freed_memory
from npgpt.model.config import GPTConfig
from npgpt.text.tokenizer import Tokenizer, load_tokenizer

NEW_TOKENS = 500
BETWEEN = "\n" + "-" * 40 + "\n"
SMALL = 512                  # channels; in a narrower model, BLAS's threads wait for each other longer than they work


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=path, metavar="DIR", help=f"a model directory (default: {OUT})")
    parser.add_argument("--prompt", metavar="TEXT",
                        help="what the text begins with (default: the end-of-text token, or a new line)")
    parser.add_argument("--max-new-tokens", type=count, metavar="N",
                        help=f"how much to write (default: {NEW_TOKENS}; with --beams, no more than the context has "
                             "room for)")
    parser.add_argument("--num-samples", type=count, default=1, metavar="N", help="how many texts (default: 1)")
    parser.add_argument("--stop", action="append", metavar="TEXT",
                        help="end a text where TEXT would come; may be given more than once")
    parser.add_argument("--ignore-end", action="store_true", help="write on where the model ends its text")
    parser.add_argument("--show-log-probabilities", action="store_true",
                        help="a line for each token: ln of the probability that the model gave it, and the token")

    drawing = parser.add_argument_group("how a token is chosen",
                                        "A token is drawn by its probability, unless --greedy or --beams is given.")
    drawing.add_argument("--temperature", type=float, default=0.8, metavar="X",
                         help="below 1 the likelier tokens gain, above 1 they lose (default: 0.8)")
    drawing.add_argument("--top-k", type=count, metavar="K", help="choose among the K likeliest tokens (default: all)")
    drawing.add_argument("--top-p", type=float, metavar="P",
                         help="choose among the likeliest that together have probability P, the one that crosses P "
                              "included (default: all)")
    drawing.add_argument("--repetition-penalty", type=float, default=1.0, metavar="X",
                         help="above 1, tokens that the text has already are less likely; 1.2 is usual (default: 1, none)")
    drawing.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same text (default: 0)")
    drawing.add_argument("--greedy", action="store_true", help="always take the likeliest token")
    drawing.add_argument("--beams", type=count, metavar="N",
                         help="search for the likeliest text, N at a time; it is printed when it is found")


def run(args: argparse.Namespace) -> int:
    check(args)
    parameters, config = load_model(args.model or OUT)
    tokenizer = load_tokenizer(args.model or OUT)
    ids = default_prompt(config, tokenizer) if args.prompt is None else tokenizer.encode(args.prompt)
    prompt = checked_prompt(ids, config)
    if len(prompt) > config.n_positions and not args.beams:
        print(f"npgpt: the prompt has {len(prompt):,} tokens; the model sees the last {config.n_positions:,}",
              file=sys.stderr)

    keep_freed_memory()
    with blas_threads(1) if config.n_embd < SMALL else nullcontext():
        for sample, choices in enumerate(samples(args, parameters, config, prompt)):
            if sample:
                print(BETWEEN, end="")
            if args.show_log_probabilities:
                print_table(choices, tokenizer)
            else:
                print_text(choices, tokenizer, args)
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise InputError for settings that make no sense, before a large model is read."""
    if args.model is None and not OUT.exists():
        raise InputError(f"there is no model in {OUT} yet: npgpt train makes one there, or --model names another")
    for flag, value, least in (("--max-new-tokens", args.max_new_tokens, 1), ("--num-samples", args.num_samples, 1),
                               ("--seed", args.seed, 0), ("--beams", args.beams, 1)):
        if value is not None and value < least:
            raise InputError(f"{flag} must be {least} or more, not {value}")
    check_sampling(args.temperature, args.top_k, args.top_p, args.repetition_penalty)
    if "" in (args.stop or ()):
        raise InputError("--stop must not be empty")
    if args.stop and args.show_log_probabilities:
        raise InputError("--stop is about the text, --show-log-probabilities about its tokens: choose one of them")
    if args.beams and args.greedy:
        raise InputError("--greedy and --beams exclude each other: --greedy is the same as --beams 1")
    if args.beams and args.show_log_probabilities:
        raise InputError("--show-log-probabilities is about tokens that are chosen one by one, --beams chooses whole texts")
    if args.beams and args.num_samples > args.beams:
        raise InputError(f"--num-samples {args.num_samples} are more texts than --beams {args.beams} finds")


def samples(args: argparse.Namespace, parameters: np.ndarray, config: GPTConfig,
            prompt: Sequence[int]) -> Iterator[Iterable[Choice]]:
    """The texts that were asked for, each an iterable of choices that are made as they are taken."""
    end = None if args.ignore_end else config.eos_token_id
    if args.beams:
        new = args.max_new_tokens or min(NEW_TOKENS, max(config.n_positions - len(prompt), 1))
        found = beam_search(parameters, config, prompt, args.beams, new, end, repetition_penalty=args.repetition_penalty)
        for beam in found[:args.num_samples]:
            yield before_end((Choice(token, 0.0) for token in beam.tokens), end)
        return
    sampling = {} if args.greedy else {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    rng = np.random.default_rng(args.seed)
    for _ in range(args.num_samples):
        steps = generate_batch(parameters, config, [prompt], [rng], args.greedy, args.repetition_penalty, end, **sampling)
        choices = (choice for choice, in itertools.islice(steps, args.max_new_tokens or NEW_TOKENS))
        yield choices if args.show_log_probabilities else before_end(choices, end)


def before_end(choices: Iterable[Choice], end: int | None) -> Iterator[Choice]:
    """All before the end token, which stands for no text."""
    return itertools.takewhile(lambda choice: choice.token != end, choices)


def print_text(choices: Iterable[Choice], tokenizer: Tokenizer, args: argparse.Namespace) -> None:
    """The prompt and what follows it, piece by piece as it comes."""
    print(args.prompt or "", end="", flush=True)
    try:
        for piece in stream_text((choice.token for choice in choices), tokenizer, args.stop):
            print(piece, end="", flush=True)
    finally:
        print(flush=True)                              # an error gets a line of its own


def print_table(choices: Iterable[Choice], tokenizer: Tokenizer) -> None:
    for choice in choices:
        known = choice.token < tokenizer.vocab_size
        text = visible(tokenizer.decode_bytes([choice.token])) if known else f"#{choice.token}"
        print(f"{choice.log_probability:9.4f}  {text}", flush=True)
