"""The text that `npgpt trace` and `npgpt attention` examine: its token ids, and how each token is shown."""
import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.commands.arguments import count
from npgpt.commands.tokenize import known_part
from npgpt.errors import InputError
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import TransformerConfig
from npgpt.tasks.masking import encode_masked
from npgpt.text.corpus import require_ids
from npgpt.text.shown import printable
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer

SENTENCE = "The gradient flows back through every layer."


class Reading(NamedTuple):
    ids: np.ndarray                             # (N,)
    shown: list[str]                            # each token, in printable characters


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--text", metavar="TEXT", help="the model's input (default: a short sentence)")
    text.add_argument("--ids", type=count, nargs="+", metavar="N",
                      help="token ids instead of a text, for a model without a tokenizer")


def read_tokens(args: argparse.Namespace, folder: Path, config: TransformerConfig, least: int, most: int) -> Reading:
    """The first `most` tokens of --text or --ids. Raises InputError for fewer than `least`, for one outside the vocabulary,
    and for a text if there is no tokenizer in the model's folder.
    """
    if args.ids:
        ids, tokenizer = np.array(args.ids), None
    else:
        if not holds_tokenizer(folder):
            raise InputError(f"{folder} holds no tokenizer, so it cannot read a text: give token ids with --ids")
        tokenizer = load_tokenizer(folder)
        text = known_part(SENTENCE, tokenizer) if args.text is None else args.text
        ids = encode_masked(text, tokenizer) if isinstance(config, BertConfig) else tokenizer.encode(text)
        if args.text is None and len(ids) < least:
            ids = np.arange(min(tokenizer.vocab_size, config.vocab_size, most))
    if len(ids) < least:
        raise InputError(f"the text has {len(ids)} token{'s' * (len(ids) != 1)}, {least} or more are needed")
    if len(ids) > most:
        print(f"npgpt: the text has {len(ids):,} tokens; only the first {most:,} are used", file=sys.stderr)
        ids = ids[:most]
    if ids.min() < 0:
        raise InputError(f"token ids must be 0 or more, found {ids.min()}")
    require_ids(ids, config.vocab_size)
    return Reading(ids, [printable(token, tokenizer) if tokenizer else str(token) for token in ids.tolist()])
