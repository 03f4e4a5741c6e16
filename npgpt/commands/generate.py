"""npgpt generate: write text with a trained model."""
import argparse
import itertools
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import OUT, count, model_directory, path, require_model, text_of
from npgpt.commands.interactive import converse
from npgpt.commands.tokenize import printable
from npgpt.errors import InputError
from npgpt.generation.beam_search import beam_search
from npgpt.generation.generate import Choice, checked_prompt, default_prompt, generate_batch, stream_text
from npgpt.generation.sampling import check_sampling
from npgpt.interop.huggingface import load_model
from npgpt.model.model import Model
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.memory import keep_freed_memory
from npgpt.terminal import harmless
from npgpt.text.tokenizer import load_tokenizer

NEW_TOKENS = 500
SEPARATOR = "\n" + "-" * 40 + "\n"
NARROW = 512                 # channels; in a narrower model, BLAS is faster on one thread


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"a model directory (default: {OUT})")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="", metavar="TEXT",
                        help="begin with TEXT (default, and if TEXT is empty: the end-of-text token, or a new line)")
    prompt.add_argument("--prompt-file", type=path, metavar="FILE",
                        help="begin with the text of a UTF-8 file, without the line break at its end; - is standard input")
    parser.add_argument("--max-new-tokens", type=count, metavar="N",
                        help=f"(default: {NEW_TOKENS}; with --beams, no more than fit into the context)")
    parser.add_argument("--interactive", action="store_true",
                        help="continue each line of standard input, up to a stop text (default: a new line), then read the "
                             "next; the model sees all that came before. --prompt is what the text begins with. Ctrl-C ends "
                             "an answer, Ctrl-D the conversation")
    parser.add_argument("--num-samples", type=count, default=1, metavar="N", help="how many texts (default: 1)")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end before TEXT; may be given more than once")
    parser.add_argument("--ignore-end", action="store_true", help="continue after the model's end-of-text token")
    parser.add_argument("--show-log-probabilities", action="store_true",
                        help="a line for each token: ln of the probability that the model gave it, and the token")

    choice = parser.add_argument_group("how a token is chosen",
                                       "A token is drawn by its probability, unless --greedy or --beams is given.")
    choice.add_argument("--temperature", type=float, default=0.8, metavar="X",
                        help="below 1, likely tokens become likelier, above 1, less likely (default: 0.8)")
    choice.add_argument("--top-k", type=count, metavar="K", help="choose among the K likeliest tokens (default: all)")
    choice.add_argument("--top-p", type=float, metavar="P",
                        help="choose among the fewest tokens that together have probability P or more (default: all)")
    choice.add_argument("--repetition-penalty", type=float, default=1.0, metavar="X",
                        help="above 1, tokens that already occur are less likely; 1.2 is usual (default: 1, none)")
    choice.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same text (default: 0)")
    choice.add_argument("--greedy", action="store_true", help="always take the likeliest token")
    choice.add_argument("--beams", type=count, metavar="N", help="beam search with N beams; the text is printed at its end")


def run(args: argparse.Namespace) -> int:
    check(args)
    text = text_of(args.prompt_file).removesuffix("\n").removesuffix("\r") if args.prompt_file else args.prompt
    model = Model(*load_model(args.model), load_tokenizer(args.model))
    keep_freed_memory()
    threads = blas_threads(1) if model.config.n_embd < NARROW else nullcontext()
    if args.interactive:
        with threads:
            converse(args, model, text, args.max_new_tokens or NEW_TOKENS)
        return 0
    ids = model.tokenizer.encode(text) if text else default_prompt(model.config, model.tokenizer)
    prompt = checked_prompt(ids, model.config)
    if len(prompt) > model.config.n_positions and not args.beams:
        print(f"npgpt: the prompt has {len(prompt):,} tokens; the model sees the last {model.config.n_positions:,}",
              file=sys.stderr)

    with threads:
        for sample, choices in enumerate(samples(args, model, prompt)):
            if sample:
                print(SEPARATOR, end="")
            if args.show_log_probabilities:
                for choice in choices:
                    print(f"{choice.log_probability:9.4f}  {printable(choice.token, model.tokenizer)}", flush=True)
            else:
                print_text(text, choices, model, args.stop)
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise InputError for arguments out of range or in conflict, before a large model is read."""
    require_model(args.model)
    for flag, value, least in (("--max-new-tokens", args.max_new_tokens, 1), ("--num-samples", args.num_samples, 1),
                               ("--seed", args.seed, 0), ("--beams", args.beams, 1)):
        if value is not None and value < least:
            raise InputError(f"{flag} must be {least} or more, not {value}")
    if args.temperature == 0:
        raise InputError("temperature must be above 0, not 0.0; for the likeliest token always, use --greedy")
    check_sampling(args.temperature, args.top_k, args.top_p, args.repetition_penalty)
    for wrong, complaint in (
            ("" in (args.stop or ()), "--stop must not be empty"),
            (args.stop and args.show_log_probabilities, "--stop and --show-log-probabilities cannot be combined"),
            (args.interactive and args.prompt_file == Path("-"),
             "--interactive and --prompt-file - both read standard input"),
            (args.interactive and (args.beams or args.num_samples > 1 or args.show_log_probabilities),
             "--interactive cannot be combined with --beams, --num-samples or --show-log-probabilities"),
            (args.beams and args.greedy, "--greedy and --beams cannot be combined: --greedy is the same as --beams 1"),
            (args.beams and args.show_log_probabilities, "--show-log-probabilities and --beams cannot be combined"),
            (args.beams and args.num_samples > args.beams,
             f"--num-samples {args.num_samples} are more texts than --beams {args.beams} finds")):
        if wrong:
            raise InputError(complaint)


def samples(args: argparse.Namespace, model: Model, prompt: Sequence[int]) -> Iterator[Iterable[Choice]]:
    """The texts, each an iterable of tokens that are computed one by one."""
    parameters, config = model.parameters, model.config
    end = () if args.ignore_end else config.end_tokens
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


def before_end(choices: Iterable[Choice], end: Collection[int]) -> Iterator[Choice]:
    """The tokens before the end-of-text token, which is not printed."""
    return itertools.takewhile(lambda choice: choice.token not in end, choices)


def print_text(prompt: str, choices: Iterable[Choice], model: Model, stops: Sequence[str] | None) -> None:
    """The prompt and its continuation, piece by piece."""
    try:
        for piece in itertools.chain([prompt], stream_text((choice.token for choice in choices), model.tokenizer, stops)):
            print(harmless(piece, sys.stdout), end="", flush=True)
    finally:
        print(flush=True)                              # so that an error message begins on a new line
