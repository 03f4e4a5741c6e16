"""npgpt translate: translate texts with a trained encoder-decoder."""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import OUT, count, model_directory, path, require_model, text_of
from npgpt.errors import InputError
from npgpt.files import destination, write_whole
from npgpt.generation.translate import LENGTH_PENALTY, LONGER, translate
from npgpt.inspection.cross_attention import cross_attended, cross_attention_picture
from npgpt.interop.huggingface import load_model
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.model import Model
from npgpt.tasks.translation import cut, token_ids
from npgpt.terminal import harmless
from npgpt.text.shown import printable
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer

LONGEST_DRAWN = 128                             # tokens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=path, metavar="FILE",
                        help="a file with a text in each line; - is standard input, the default without --text")
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"a model that npgpt train --objective translate made (default: {OUT})")
    parser.add_argument("--text", nargs="+", metavar="TEXT", help="texts to translate")
    parser.add_argument("--beams", type=count, default=1, metavar="N",
                        help="how many translations are kept in every step (default: 1, the likeliest token in every step)")
    parser.add_argument("--length-penalty", type=float, default=LENGTH_PENALTY, metavar="X",
                        help="with several beams, a larger one prefers longer translations "
                             f"(default: {LENGTH_PENALTY:g})")
    parser.add_argument("--max-new-tokens", type=count, metavar="N",
                        help=f"tokens of a translation at most (default: those of its source and {LONGER} more)")
    parser.add_argument("--svg", type=path, metavar="FILE",
                        help="also write a picture in SVG of what each token of the translation attends to in the source, "
                             "in every head of every layer; for one text")
    parser.add_argument("--layer", type=count, metavar="N", help="show this layer of the decoder only, counted from 0")
    parser.add_argument("--head", type=count, metavar="N", help="show this head only, counted from 0")


def run(args: argparse.Namespace) -> int:
    require_model(args.model)
    if args.text and args.file:
        raise InputError("give texts with --text, or a file, not both")
    model = load_translator(args.model)
    layers = chosen("--layer", args.layer, model.config.decoder_layers)
    heads = chosen("--head", args.head, model.config.n_head)
    texts = args.text or text_of(args.file or "-").splitlines()
    if args.svg and len(texts) != 1:
        raise InputError(f"--svg shows one text, not {len(texts)}")
    file = args.svg and destination(args.svg)
    for i, text in enumerate(texts, 1):
        try:
            translation, = translate(model, [text], args.beams, args.max_new_tokens, args.length_penalty)
        except InputError as error:
            raise InputError(f"{f'text {i}' if args.text else f'line {i}'}: {error}") from None
        print(harmless(translation, sys.stdout), flush=True)
        if file:
            write_whole(file, [attention_of(text, translation, model, layers, heads)])
    return 0


def chosen(flag: str, wanted: int | None, number: int) -> list[int]:
    """One of so many layers or heads, by default all."""
    if wanted is not None and not 0 <= wanted < number:
        raise InputError(f"{flag} must be from 0 to {number - 1} in this model, not {wanted}")
    return [*range(number)] if wanted is None else [wanted]


def attention_of(source: str, target: str, model: Model, layers: Sequence[int], heads: Sequence[int]) -> bytes:
    """The picture of cross-attention. Raises InputError for texts that are too long to be drawn."""
    parameters, config, tokenizer, _ = model
    ids = [cut(token_ids(one, tokenizer, config), config) for one in (source, target)]
    if max(map(len, ids)) > LONGEST_DRAWN:
        raise InputError(f"--svg shows texts of at most {LONGEST_DRAWN} tokens")
    weights = cross_attended(*ids, parameters, config)[np.ix_(layers, heads)]
    shown = [[printable(token, tokenizer) for token in one.tolist()] for one in ids]
    return cross_attention_picture(*shown, weights, layers, heads)


def load_translator(folder: Path) -> Model:
    """An encoder-decoder with its tokenizer. Raises InputError for other models."""
    parameters, config = load_model(folder, kinds=EncoderDecoderConfig)
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer, so it cannot read a text")
    return Model(parameters, config, load_tokenizer(folder))
