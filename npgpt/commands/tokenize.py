"""npgpt tokenize: show how a text is split into tokens."""
import argparse
import sys
from itertools import islice
from pathlib import Path

from npgpt.commands.arguments import OUT, path
from npgpt.errors import InputError
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.corpus import python_documentation, read_text
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer

LEARNED_MERGES = 1000                # of the vocabulary that is learned where there is none: half a second's work
SAMPLE = "The gradient isn't magic: 2 + 2 = 4.\n\tA naïve 模型 learns   it 🤗"
SPACE = "␣"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT",
                        help="what to split (default: a line with a little of everything)")
    parser.add_argument("--file", type=path, metavar="FILE", help="split a UTF-8 text file instead")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--model", type=path, metavar="DIR",
                       help=f"split as the model in DIR reads (default: {OUT}, or where there is none, as a BPE vocabulary "
                            "that is learned at once from the documentation that comes with Python)")
    place.add_argument("--tokenizer-dir", type=path, metavar="DIR",
                       help="split as the tokenizer.json in DIR says, or its vocab.json and merges.txt; no model is needed")


def run(args: argparse.Namespace) -> int:
    if args.file and args.text is not None:
        raise InputError("give TEXT or --file, not both")
    tokenizer = find_tokenizer(args.tokenizer_dir or args.model)
    if args.file:
        text = read_text([args.file])
    else:
        text = what_it_knows(SAMPLE, tokenizer) if args.text is None else args.text
    ids = tokenizer.encode(text).tolist()
    width = len(str(tokenizer.vocab_size - 1))
    sys.stdout.writelines(f"{i:{width}}  {visible(tokenizer.decode_bytes([i]))}\n" for i in ids)
    size = len(text.encode("utf-8", "surrogatepass"))
    print(", ".join([amount(len(ids), "token"), amount(len(text), "character"), amount(size, "byte")]))
    return 0


def find_tokenizer(folder: Path | None) -> Tokenizer:
    """That of the folder, or where none is named that of `out`, or one learned on the spot, with a word about it."""
    if folder or holds_tokenizer(OUT):
        return load_tokenizer(folder or OUT)
    tokenizer = tokenizer_of_merges(islice(learn_merges(count_words(python_documentation())), LEARNED_MERGES))
    print(f"npgpt: {OUT} holds no tokenizer; this one knows the bytes and the first {LEARNED_MERGES:,} merges of Python's own "
          "documentation (--tokenizer-dir or --model takes another)", file=sys.stderr)
    return tokenizer


def what_it_knows(text: str, tokenizer: Tokenizer) -> str:
    """The text without the characters that a small vocabulary of characters lacks."""
    return "".join(character for character in text if knows(tokenizer, character))


def knows(tokenizer: Tokenizer, character: str) -> bool:
    try:
        tokenizer.encode(character)
    except InputError:
        return False
    return True


def visible(token: bytes) -> str:
    """On one line: ␣ for a space, \\n and the like for what does not print, \\xf0 for a byte of a divided character,
    and \\\\ for a backslash itself.
    """
    text = token.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    return "".join(SPACE if c == " " else c if c.isprintable() else escape(c) for c in text)


def escape(character: str) -> str:
    """\\n, \\x1b, \\u0080: two digits are bytes, whole characters above 0x7f have four or eight."""
    if "\x80" <= character <= "\xff":
        return f"\\u{ord(character):04x}"
    return character.encode("unicode_escape").decode()


def amount(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
