"""npgpt fill: show the likeliest tokens in the places of [MASK] in a text."""
import argparse
import sys

import numpy as np

from npgpt.commands.arguments import OUT, count, model_directory, require_model
from npgpt.commands.tokenize import printable
from npgpt.errors import InputError
from npgpt.generation.fill import filled, mask_probabilities, masked_ids
from npgpt.interop.huggingface import load_model
from npgpt.model.bert_config import BertConfig
from npgpt.tasks.masking import MASK
from npgpt.terminal import harmless
from npgpt.text.tokenizer import load_tokenizer

TOP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description += (f" Each {MASK} stands for one token, and is predicted without knowing the others. With a BPE "
                           f"tokenizer, a word's token begins with the space before it: The{MASK} is.")
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"the directory of a masked language model (default: {OUT})")
    parser.add_argument("--text", required=True, metavar="TEXT", help=f"a text with one or several {MASK}")
    parser.add_argument("--top", type=count, default=TOP, metavar="N", help=f"how many tokens to show (default: {TOP})")


def run(args: argparse.Namespace) -> int:
    if args.top < 1:
        raise InputError(f"--top must be 1 or more, not {args.top}")
    require_model(args.model)
    parameters, config = load_model(args.model, kinds=BertConfig)
    tokenizer = load_tokenizer(args.model)
    ids = masked_ids(args.text, tokenizer, config)
    probabilities = mask_probabilities(ids, tokenizer.special_tokens[MASK], parameters, config)
    for number, row in enumerate(probabilities, 1):
        if len(probabilities) > 1:
            print(f"{MASK} {number}")
        for token in np.argsort(-row, kind="stable")[:args.top].tolist():
            text = f"  {filled(ids, np.array([token]), tokenizer)}" if len(probabilities) == 1 else ""
            print(f"{row[token]:.4f}  {printable(token, tokenizer):12}{harmless(text, sys.stdout)}".rstrip())
    if len(probabilities) > 1:
        print(harmless(filled(ids, probabilities.argmax(axis=1), tokenizer), sys.stdout))
    return 0
