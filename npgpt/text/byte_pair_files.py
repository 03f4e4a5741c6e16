"""The files of a byte-level BPE tokenizer: tokenizer.json, or GPT-2's own vocab.json and merges.txt."""
import codecs
import re
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import NamedTuple

from npgpt.errors import InputError
from npgpt.files import write_whole
from npgpt.json_files import JSON_LIMIT, read_json, write_json
from npgpt.text.base_tokenizer import BYTE_LEVEL, write_tokenizer_json
from npgpt.text.vocabulary import add_special_tokens, quote

VOCABULARY_FILE, MERGES_FILE, ADDED_FILE = "vocab.json", "merges.txt", "added_tokens.json"
LIMIT = 2**19                                          # tokens, and merges: twice as many as the largest in use
UNKNOWN = "<unk>"                                      # for bytes that a vocabulary lacks, unless a file names another
VERSION = "#version: 0.2"                              # the first line of merges.txt
SPECIAL = re.compile(r"<.+>|\[.+\]", re.DOTALL)        # what special tokens of vocab.json look like
UNSUPPORTED = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")


class Content(NamedTuple):
    """The content of the files: the arguments of BytePairTokenizer, which checks whether they are consistent."""
    vocabulary: dict[str, int]
    merges: list[tuple[str, str]]
    special_tokens: list[str]
    unknown: str | None


def read_vocabulary_and_merges(folder: Path) -> Content:
    """Read vocab.json and merges.txt, and added_tokens.json if there is one. They do not say which tokens are special:
    those that look like <this> or [this] and that no merge makes. Raises InputError for files in another format.
    """
    vocabulary, merges = read_json(folder / VOCABULARY_FILE), read_merges(folder / MERGES_FILE)
    if (folder / ADDED_FILE).is_file():
        add_special_tokens(vocabulary, [{"content": token, "id": i, "special": bool(SPECIAL.fullmatch(token))}
                                        for token, i in read_json(folder / ADDED_FILE).items()])
    require_limit(vocabulary, "tokens")
    made = {left + right for left, right in merges}
    special_tokens = [token for token in vocabulary if SPECIAL.fullmatch(token) and token not in made]
    return Content(vocabulary, merges, special_tokens, UNKNOWN if UNKNOWN in special_tokens else None)


def require_limit(entries: Sized, what: str) -> None:
    if len(entries) > LIMIT:
        raise InputError(f"{len(entries):,} {what} are too many (at most {LIMIT:,})")


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of merges.txt, which has a line for each: two tokens separated by a space. Raises InputError."""
    if path.stat().st_size > JSON_LIMIT:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes are too many for a list of merges (at most {JSON_LIMIT:,})")
    data = path.read_bytes()
    if data.count(b"\n") > LIMIT:                                  # checked before Python makes an object of each
        raise InputError(f"{path}: more than {LIMIT:,} lines are too many for a list of merges")
    try:
        lines = data.removeprefix(codecs.BOM_UTF8).decode().rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at offset {error.start}") from None
    first = 1 if lines[0].startswith("#version") or lines == [""] else 0
    return [parse_merge(line.removesuffix("\r"), f"{path}: line", number)
            for number, line in enumerate(lines[first:], first + 1)]


def parse_merge(merge: str | Sequence[str], place: str, number: int) -> tuple[str, str]:
    """A pair written as "a b" or, in newer files, as ["a", "b"]. Raises InputError for anything else."""
    match merge.split(" ", 2) if isinstance(merge, str) else merge:
        case [str(left), str(right)] if left and right:
            return left, right
    raise InputError(f"{place} {number}: expected two tokens separated by a space, not {quote(merge)}")


def parse_tokenizer_json(description: dict) -> Content:
    """A post-processor, padding and truncation are ignored. Raises InputError, naming any other field not supported."""
    model = description.get("model")
    if not (isinstance(model, dict) and model.get("type", "BPE") == "BPE"      # the oldest files leave the type out
            and isinstance(model.get("vocab"), dict) and isinstance(model.get("merges"), list)):
        raise InputError("not a byte-level BPE tokenizer (model.type \"BPE\" with vocab and merges)")
    for name in UNSUPPORTED:
        if model.get(name):
            raise InputError(f"npgpt does not support model.{name}, which is {quote(model[name])}")
    if description.get("normalizer") is not None:
        raise InputError("npgpt does not support a normalizer; it must be null")
    pre_tokenizer, decoder = description.get("pre_tokenizer"), description.get("decoder")
    if not isinstance(pre_tokenizer, dict) or {**BYTE_LEVEL, "add_prefix_space": True, **pre_tokenizer,
                                               "trim_offsets": True} != BYTE_LEVEL:
        raise InputError("npgpt supports only the pre_tokenizer ByteLevel with use_regex true and add_prefix_space false, "
                         f"not {quote(pre_tokenizer)}")
    if not isinstance(decoder, dict) or decoder.get("type") != BYTE_LEVEL["type"]:
        raise InputError(f"npgpt supports only the decoder ByteLevel, not {quote(decoder)}")
    vocabulary = dict(model["vocab"])
    special_tokens = add_special_tokens(vocabulary, description.get("added_tokens"))
    require_limit(vocabulary, "tokens")
    require_limit(model["merges"], "merges")
    merges = [parse_merge(merge, "merge", number) for number, merge in enumerate(model["merges"], 1)]
    unknown = model.get("unk_token") or UNKNOWN
    represents_one_byte = unknown in special_tokens and not model.get("fuse_unk")
    return Content(vocabulary, merges, special_tokens, unknown if represents_one_byte else None)


def write_files(folder: Path, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]],
                special_tokens: Mapping[str, int], unknown: str | None) -> None:
    """Write tokenizer.json, vocab.json and merges.txt."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    lines = [f"{left} {right}" for left, right in merges]
    write_json(folder / VOCABULARY_FILE, ids)
    write_whole(folder / MERGES_FILE, ["\n".join([VERSION, *lines, ""]).encode()])
    model = {"type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": ids, "merges": lines}
    write_tokenizer_json(folder, BYTE_LEVEL, BYTE_LEVEL, model, special_tokens)
