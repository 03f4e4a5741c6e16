"""npgpt tokenize: show how a text is split into tokens."""
import argparse
import sys
from itertools import islice
from pathlib import Path

from npgpt.commands.arguments import OUT, model_directory, path, text_of
from npgpt.errors import InputError
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.corpus import python_documentation
from npgpt.text.shown import printable
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer

LEARNED_MERGES = 1000                # of the vocabulary that is learned if there is none; takes half a second
SAMPLE = "The gradient isn't magic: 2 + 2 = 4.\n\tA naïve 模型 learns   it 🤗"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to split (default: a line of different characters)")
    parser.add_argument("--file", type=path, metavar="FILE", help="split a UTF-8 text file instead; - is standard input")
    parser.add_argument("--model", "--tokenizer-dir", type=model_directory, metavar="DIR",
                        help="use the tokenizer in DIR: tokenizer.json, or vocab.json and merges.txt, or vocab.txt; no "
                             f"model is needed (default: {OUT}; where there is none, a BPE vocabulary is learned from the "
                             "documentation that comes with Python)")


def run(args: argparse.Namespace) -> int:
    if args.file and args.text is not None:
        raise InputError("give TEXT or --file, not both")
    tokenizer = find_tokenizer(args.model)
    if args.file:
        text = text_of(args.file)
    else:
        text = known_part(SAMPLE, tokenizer) if args.text is None else args.text
    ids = tokenizer.encode(text).tolist()
    width = len(str(tokenizer.vocab_size - 1))
    sys.stdout.writelines(f"{i:{width}}  {printable(i, tokenizer)}\n" for i in ids)
    size = len(text.encode("utf-8", "surrogatepass"))
    print(", ".join(f"{number:,} {unit}{'s' * (number != 1)}" for number, unit in
                    ((len(ids), "token"), (len(text), "character"), (size, "byte"))))
    return 0


def find_tokenizer(folder: Path | None) -> Tokenizer:
    """The tokenizer in a folder, by default in OUT; if there is none in OUT, one that is learned now."""
    if folder or holds_tokenizer(OUT):
        return load_tokenizer(folder or OUT)
    tokenizer = tokenizer_of_merges(islice(learn_merges(count_words(python_documentation())), LEARNED_MERGES))
    print(f"npgpt: {OUT} holds no tokenizer; this one has {LEARNED_MERGES:,} merges of Python's own documentation "
          "(--model selects another)", file=sys.stderr)
    return tokenizer


def known_part(text: str, tokenizer: Tokenizer) -> str:
    """The text without the characters that the tokenizer does not know."""
    def known(character: str) -> bool:
        try:
            tokenizer.encode(character)
        except InputError:
            return False
        return True

    return "".join(filter(known, text))
