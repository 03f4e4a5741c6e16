"""npgpt generate: let a trained model write."""
import argparse
import itertools
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import count
from npgpt.errors import InputError
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.generation.sampling import check_sampling
from npgpt.interop.huggingface import load_model
from npgpt.text.tokenizer import load_tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=Path("out"), metavar="DIR", help="a model directory (default: out)")
    parser.add_argument("--prompt", metavar="TEXT", help="what the text begins with (default: a new line)")
    parser.add_argument("--max-new-tokens", type=count, default=500, metavar="N", help="how much to write (default: 500)")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="X",
                        help="below 1 the likelier tokens gain, above 1 they lose (default: 0.8)")
    parser.add_argument("--top-k", type=count, metavar="K", help="choose among the K likeliest tokens (default: all)")
    parser.add_argument("--top-p", type=float, metavar="P",
                        help="choose among the likeliest that together have probability P (default: all)")
    parser.add_argument("--greedy", action="store_true", help="always take the likeliest token")
    parser.add_argument("--num-samples", type=count, default=1, metavar="N", help="how many texts (default: 1)")
    parser.add_argument("--stop", metavar="TEXT", help="end a text where TEXT would come")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same text (default: 0)")


def run(args: argparse.Namespace) -> int:
    for flag, value, least in (("--max-new-tokens", args.max_new_tokens, 1), ("--num-samples", args.num_samples, 1),
                               ("--seed", args.seed, 0)):
        if value < least:
            raise InputError(f"{flag} must be {least} or more, not {value}")
    sampling = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    check_sampling(**sampling)
    if args.stop == "":
        raise InputError("--stop must not be empty")
    parameters, config = load_model(args.model)
    tokenizer = load_tokenizer(args.model)
    prompt = default_prompt(config, tokenizer) if args.prompt is None else tokenizer.encode(args.prompt)

    rng = np.random.default_rng(args.seed)
    for sample in range(args.num_samples):
        if sample:
            print("\n" + "-" * 40)
        print(args.prompt or "", end="", flush=True)
        tokens = generate(parameters, config, prompt, rng, args.greedy, **sampling)
        for piece in stream_text(itertools.islice(tokens, args.max_new_tokens), tokenizer, args.stop):
            print(piece, end="", flush=True)
        print()
    return 0
