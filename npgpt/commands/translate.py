"""npgpt translate: translate texts with a trained encoder-decoder."""
import argparse
import sys
from pathlib import Path

from npgpt.commands.arguments import OUT, count, model_directory, path, require_model, text_of
from npgpt.errors import InputError
from npgpt.generation.translate import LENGTH_PENALTY, LONGER, translate
from npgpt.interop.huggingface import load_model
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.model import Model
from npgpt.terminal import harmless
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=path, metavar="FILE",
                        help="a file with a text in each line; - is standard input, the default without --text")
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"a model that npgpt train --objective translate made (default: {OUT})")
    parser.add_argument("--text", nargs="+", metavar="TEXT", help="texts to translate")
    add_search_arguments(parser)


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beams", type=count, default=1, metavar="N",
                        help="how many translations are kept in every step (default: 1, the likeliest token in every step)")
    parser.add_argument("--length-penalty", type=float, default=LENGTH_PENALTY, metavar="X",
                        help="with several beams, a larger one prefers longer translations "
                             f"(default: {LENGTH_PENALTY:g})")
    parser.add_argument("--max-new-tokens", type=count, metavar="N",
                        help=f"tokens of a translation at most (default: those of its source and {LONGER} more)")


def run(args: argparse.Namespace) -> int:
    require_model(args.model)
    if args.text and args.file:
        raise InputError("give texts with --text, or a file, not both")
    model = load_translator(args.model)
    texts = args.text or text_of(args.file or "-").splitlines()
    for i, text in enumerate(texts, 1):
        try:
            translation, = translate(model, [text], args.beams, args.max_new_tokens, args.length_penalty)
        except InputError as error:
            raise InputError(f"{f'text {i}' if args.text else f'line {i}'}: {error}") from None
        print(harmless(translation, sys.stdout), flush=True)
    return 0


def load_translator(folder: Path) -> Model:
    """An encoder-decoder with its tokenizer. Raises InputError for other models."""
    parameters, config = load_model(folder, kinds=EncoderDecoderConfig)
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer, so it cannot read a text")
    return Model(parameters, config, load_tokenizer(folder))
