"""npgpt attention: show what each head of a model attends to."""
import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from npgpt.commands.arguments import OUT, count, model_directory, path, require_model
from npgpt.commands.reading import add_text_arguments, read_tokens
from npgpt.errors import InputError
from npgpt.files import destination, write_whole
from npgpt.inspection.attention import attended
from npgpt.inspection.attention_maps import chosen
from npgpt.inspection.attention_page import attention_page
from npgpt.inspection.attention_picture import attention_picture
from npgpt.inspection.heat_map import heat_maps, legend, map_width
from npgpt.inspection.page import in_bytes
from npgpt.interop.huggingface import load_model
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.terminal import harmless
from npgpt.text.shown import printable, visible
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer

LONGEST = 512            # tokens
LARGEST = 50 * 2**20     # bytes of a page
PLAIN = 160              # columns, if the output is not a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"a model directory (default: {OUT})")
    add_text_arguments(parser)
    parser.add_argument("--layer", type=count, nargs="+", metavar="N", help="which layers, counted from 0 (default: all)")
    parser.add_argument("--head", type=count, nargs="+", metavar="N", help="which heads, counted from 0 (default: all)")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--html", type=path, metavar="FILE",
                       help="write one page that opens in a browser without a network, instead of maps in the terminal; "
                            "it also shows the likeliest tokens after each position; of a BERT, at each")
    files.add_argument("--svg", type=path, metavar="FILE", help="write the maps as one picture, in SVG")


def run(args: argparse.Namespace) -> int:
    asked = args.html or args.svg
    file = asked and destination(asked)
    require_model(args.model)
    parameters, config = load_model(args.model, kinds=(GPTConfig, BertConfig))
    causal = isinstance(config, GPTConfig)
    layers = chosen("--layer", args.layer, config.n_layer)
    heads = chosen("--head", args.head, config.n_head)
    reading = read_tokens(args, args.model, config, least=1, most=min(config.n_positions, LONGEST))
    if not file:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PLAIN
        cell = cell_width(reading.shown, width)
    weights, probabilities = attended(reading.ids, parameters, config)
    if not np.isfinite(weights).all() or not np.isfinite(probabilities).all():
        raise InputError(f"{args.model}: the model's results are NaN or infinite: there is nothing to show")
    if file:
        chosen_weights = weights[np.ix_(layers, heads)]
        if args.svg:
            page = attention_picture(reading.shown, chosen_weights, layers, heads)
        else:
            tokenizer = load_tokenizer(args.model) if holds_tokenizer(args.model) else None
            page = attention_page(visible(os.fsencode(args.model)), reading.ids, reading.shown, chosen_weights,
                                  probabilities, layers, heads, partial(printable, tokenizer=tokenizer), causal)
        if len(page) > LARGEST:
            raise InputError(f"the file would have {in_bytes(len(page))}, more than {in_bytes(LARGEST)}: choose some layers "
                             "and heads with --layer and --head, or a shorter text")
        write_whole(file, [page])
        print(f"{harmless(str(asked), sys.stdout)}: {in_bytes(len(page))}; open it in a browser")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print("each row is a token that attends, each column a token that it attends to"
              f"{', up to itself' * causal}\n{legend(colour)}")
        for line in heat_maps(weights, layers, heads, reading.shown, cell, width, colour):
            print(line)
    return 0


def cell_width(shown: Sequence[str], width: int) -> int:
    """Two columns for each token, which makes the map square, or one if two do not fit."""
    for cell in (2, 1):
        if map_width(shown, cell) <= width:
            return cell
    raise InputError(f"a map of {len(shown)} tokens is {map_width(shown, 1)} columns wide and the terminal {width}: "
                     "write a page with --html FILE, or give a shorter text")
