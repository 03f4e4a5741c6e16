"""npgpt trace: show everything that one forward and backward pass makes."""
import argparse

import numpy as np

from npgpt.commands.arguments import OUT, path
from npgpt.commands.reading import add_text_arguments, read_tokens
from npgpt.errors import InputError
from npgpt.interop.huggingface import load_model
from npgpt.inspection.trace import Trace, save_trace, trace
from npgpt.inspection.trace_table import gradient_lines, intermediate_lines
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.model.presets import preset
from npgpt.text.characters import CharacterTokenizer

TINY_TEXT, TINY_B = "a tiny model", 2           # 2 x (5 + 1) characters, 11 of them different: every dimension is another


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description += (
        " The text's tokens but the last are the inputs, its tokens but the first the targets; the loss is the mean"
        " cross-entropy, and dropout is off. Without --model, --text and --ids it is a tiny GPT that has learned nothing,"
        f" on {TINY_TEXT!r} as two sequences.")
    parser.add_argument("--model", type=path, metavar="DIR",
                        help=f"a model directory (default: the tiny GPT; with --text or --ids: {OUT})")
    add_text_arguments(parser)
    parser.add_argument("--dtype", choices=("float32", "float64"),
                        help="(default: the model's own; float32 for the tiny GPT)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws the tiny GPT's parameters (default: 0)")
    parser.add_argument("--full", action="store_true", help="print the arrays themselves; of large ones, the corners")
    parser.add_argument("--save", type=path, metavar="FILE.npz",
                        help="write every array for numpy.load: ids, targets, logits, loss; parameter/NAME and grad/NAME "
                             "under Hugging Face's names; value/NAME and grad/NAME of the intermediates")


def run(args: argparse.Namespace) -> int:
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {args.seed}")
    if args.model or args.text is not None or args.ids:
        ids, targets, parameters, config = of_a_model(args)
    else:
        ids, targets, parameters, config = of_the_tiny_model(args.seed, args.dtype or "float32")
    traced = trace(ids, targets, parameters, config, keep=bool(args.full or args.save))
    if args.save:
        save_trace(args.save, traced)
    print(describe(traced) + "\n")
    for line in intermediate_lines(traced, args.full):
        print(line)
    print()
    for line in gradient_lines(traced, args.full):
        print(line)
    return 0


def of_a_model(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray, GPTConfig]:
    args.model = args.model or OUT
    parameters, config = load_model(args.model, args.dtype and np.dtype(args.dtype))
    ids = read_tokens(args, config, least=2, most=config.n_positions + 1).ids
    return ids[None, :-1], ids[None, 1:], parameters, config


def of_the_tiny_model(seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, GPTConfig]:
    config = preset("tiny")
    ids = CharacterTokenizer.of_text(TINY_TEXT).encode(TINY_TEXT).reshape(TINY_B, -1)
    return ids[:, :-1], ids[:, 1:], initial_parameters(config, seed, np.dtype(dtype)), config


def describe(traced: Trace) -> str:
    config, (B, T) = traced.config, traced.ids.shape
    return (f"B {B} sequence{'s' * (B > 1)}, T {T} token{'s' * (T > 1)}, C {config.n_embd} channels, "
            f"H {config.n_head} heads of D {config.n_embd // config.n_head}, L {config.n_layer} layers, "
            f"V {config.vocab_size:,} tokens to choose from; "
            f"{parameter_count(config):,} parameters in {traced.parameters.dtype}\n"
            f"loss {traced.loss:.6g} nats a token; knowing nothing is ln V = {np.log(config.vocab_size):.6g}")
