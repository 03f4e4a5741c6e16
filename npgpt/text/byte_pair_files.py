"""The files of a byte-level BPE tokenizer: tokenizer.json, or GPT-2's own vocab.json and merges.txt."""
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from npgpt.errors import InputError
from npgpt.files import JSON_LIMIT, read_json, write_json, write_whole
from npgpt.text.tokenizer_json import BYTE_LEVEL, TOKENIZER_FILE, write_tokenizer_json

VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"
MERGES_LIMIT = 2**20                                   # the largest vocabularies in use have half as many
VERSION = "#version: 0.2"                              # the first line of merges.txt
SPECIAL = re.compile(r"<.+>|\[.+\]", re.DOTALL)        # how special tokens look, where no file says which they are
NOT_KNOWN = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")


class Content(NamedTuple):
    """What the files say, not yet looked at whether it fits together."""
    vocabulary: dict[str, int]
    merges: list[tuple[str, str]]
    special_tokens: list[str]


def holds_byte_pairs(folder: Path) -> bool:
    return (folder / VOCABULARY_FILE).is_file() and (folder / MERGES_FILE).is_file()


def read_files(folder: Path) -> Content:
    """Read tokenizer.json, or vocab.json and merges.txt where there is none.

    The two do not say which tokens are special: those that no merge makes, and that look like <this> or [this].
    Raises InputError for files that are no such tokenizer, OSError for files that cannot be read.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return parse_tokenizer_json(read_json(folder / TOKENIZER_FILE), str(folder / TOKENIZER_FILE))
    vocabulary, merges = read_json(folder / VOCABULARY_FILE), read_merges(folder / MERGES_FILE)
    made = {left + right for left, right in merges}
    return Content(vocabulary, merges, [token for token in vocabulary if SPECIAL.fullmatch(token) and token not in made])


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of merges.txt: a line for each, its two tokens with a space between. Raises InputError."""
    if path.stat().st_size > JSON_LIMIT:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes are too many for a list of merges (at most {JSON_LIMIT:,})")
    data = path.read_bytes()
    if data.count(b"\n") > MERGES_LIMIT:                           # before an object is made for each
        raise InputError(f"{path}: more than {MERGES_LIMIT:,} lines are too many for a list of merges")
    try:
        lines = data.decode().rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at offset {error.start}") from None
    first = 1 if lines[0].startswith("#version") or lines == [""] else 0
    return [parse_merge(line.removesuffix("\r"), f"{path}: line {number}")
            for number, line in enumerate(lines[first:], first + 1)]


def parse_merge(merge: str | Sequence[str], where: str) -> tuple[str, str]:
    """"a b", or ["a", "b"] as newer files have it. Raises InputError for all else."""
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not (isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) and part for part in parts)):
        raise InputError(f"{where}: two tokens with a space between were expected, not {quote(merge)}")
    return parts[0], parts[1]


def parse_tokenizer_json(description: dict, where: str) -> Content:
    """Read what tokenizer.json holds. Raises InputError where it is no byte-level BPE, or one that npgpt does not
    compute, naming the field. What a post-processor or padding would add to a text is not looked at.
    """
    model = description.get("model")
    if not (isinstance(model, dict) and model.get("type", "BPE") == "BPE"      # the oldest files leave it out
            and isinstance(model.get("vocab"), dict) and isinstance(model.get("merges"), list)):
        raise InputError(f"{where}: not a byte-level BPE tokenizer (model.type \"BPE\" with vocab and merges)")
    for name in NOT_KNOWN:
        if model.get(name):
            raise InputError(f"{where}: npgpt does not know model.{name}, which is {quote(model[name])}")
    if description.get("normalizer") is not None:
        raise InputError(f"{where}: npgpt does not know a normalizer, only null")
    splitting = description.get("pre_tokenizer")
    if not isinstance(splitting, dict) or {**BYTE_LEVEL, "add_prefix_space": True, **splitting,
                                           "trim_offsets": True} != BYTE_LEVEL:
        raise InputError(f"{where}: npgpt knows the pre_tokenizer ByteLevel only, with GPT-2's rule and without "
                         f"add_prefix_space, not {quote(splitting)}")
    joining = description.get("decoder")
    if not isinstance(joining, dict) or joining.get("type") != BYTE_LEVEL["type"]:
        raise InputError(f"{where}: npgpt knows the decoder ByteLevel only, not {quote(joining)}")
    vocabulary = dict(model["vocab"])
    special_tokens = list(parse_added_tokens(description.get("added_tokens") or [], vocabulary, where))
    merges = [parse_merge(merge, f"{where}: merge {number}") for number, merge in enumerate(model["merges"], 1)]
    return Content(vocabulary, merges, special_tokens)


def parse_added_tokens(added: object, vocabulary: dict[str, int], where: str) -> Iterable[str]:
    """Special tokens; those that stand outside the vocabulary are put into it."""
    for token in added if isinstance(added, list) else [added]:
        if not (isinstance(token, dict) and isinstance(token.get("content"), str) and "id" in token):
            raise InputError(f"{where}: an added token with content and id was expected, not {quote(token)}")
        content = token["content"]
        if not token.get("special") or token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise InputError(f"{where}: the added token {quote(content)} is not special, or takes in what stands beside "
                             "it (lstrip, rstrip, single_word): npgpt does not know such")
        if vocabulary.setdefault(content, token["id"]) != token["id"]:
            raise InputError(f"{where}: the added token {quote(content)} has the id {quote(token['id'])}, and in the "
                             f"vocabulary {quote(vocabulary[content])}")
        yield content


def write_files(folder: Path, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]],
                special_tokens: Mapping[str, int]) -> None:
    """Write all three files, as transformers' GPT2Tokenizer and tokenizers read them."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    lines = [f"{left} {right}" for left, right in merges]
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for token, i in sorted(special_tokens.items(), key=lambda item: item[1])]
    write_json(folder / VOCABULARY_FILE, ids)
    write_whole(folder / MERGES_FILE, ["\n".join([VERSION, *lines, ""]).encode()])
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": ids, "merges": lines}
    write_tokenizer_json(folder, BYTE_LEVEL, BYTE_LEVEL, model, added)


def quote(value: object) -> str:
    """What stands in a file, for a message: no more than fits a line, however large or deeply nested it is."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value):,}"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."
