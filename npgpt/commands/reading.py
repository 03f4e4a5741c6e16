"""The text that `npgpt trace` and `npgpt attention` look at, as token ids with something to show for each."""
import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.commands.arguments import count
from npgpt.commands.tokenize import visible, what_it_knows
from npgpt.errors import InputError
from npgpt.model.config import GPTConfig
from npgpt.text.corpus import require_ids
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer

SENTENCE = "The gradient flows back through every layer."


class Reading(NamedTuple):
    ids: np.ndarray                             # (N,)
    shown: list[str]                            # each token, so that it can be seen


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--text", metavar="TEXT", help="what the model reads (default: a short sentence)")
    text.add_argument("--ids", type=count, nargs="+", metavar="N",
                      help="token ids in place of a text, for a model without a tokenizer")


def read_tokens(args: argparse.Namespace, config: GPTConfig, least: int, most: int) -> Reading:
    """What --text or --ids say, as the model in --model reads it; of a longer text the first `most` tokens, which
    is said.

    Raises InputError for fewer than `least` tokens, for one outside the vocabulary, and where a text needs
    a tokenizer and there is none.
    """
    if args.ids:
        ids = np.array(args.ids)
        shown = [str(token) for token in args.ids]
    else:
        if not holds_tokenizer(args.model):
            raise InputError(f"{args.model} holds no tokenizer, so it cannot read a text: give token ids with --ids")
        tokenizer = load_tokenizer(args.model)
        ids = tokenizer.encode(what_it_knows(SENTENCE, tokenizer) if args.text is None else args.text)
        if args.text is None and len(ids) < least:
            ids = np.arange(min(tokenizer.vocab_size, config.vocab_size, most))
        shown = None
    if len(ids) < least:
        raise InputError(f"the text has {len(ids)} token{'s' * (len(ids) != 1)}, {least} or more are needed")
    if len(ids) > most:
        print(f"npgpt: the text has {len(ids):,} tokens; these are the first {most:,}, as many as can be looked at",
              file=sys.stderr)
        ids = ids[:most]
    if ids.min() < 0:
        raise InputError(f"token ids must be 0 or more, found {ids.min()}")
    require_ids(ids, config.vocab_size)
    return Reading(ids, shown or [visible(tokenizer.decode_bytes([token])) for token in ids.tolist()])
