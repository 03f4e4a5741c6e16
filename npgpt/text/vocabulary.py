"""The tokens of a vocabulary and their ids: checks of what was read from a file, and special tokens that are added."""
import copy
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import Tokenizer

AnyTokenizer = TypeVar("AnyTokenizer", bound=Tokenizer)
SURROGATE = re.compile(r"[\ud800-\udfff]")


def with_special_tokens(tokenizer: AnyTokenizer, names: Iterable[str]) -> AnyTokenizer:
    """The same tokenizer with more special tokens, whose ids follow the others in the order of the names. Special tokens
    that it has already keep their ids. Raises InputError for a name that is empty or one of the other tokens.
    """
    new = [name for name in dict.fromkeys(names) if name not in tokenizer.special_tokens]
    for name in new:
        if not name or SURROGATE.search(name) or name in tokenizer.vocabulary:
            raise InputError(f"the special token {quote(name)} is empty, contains a surrogate, or is a token of the "
                             "vocabulary that is not special: choose another name")
    larger = copy.copy(tokenizer)
    larger.vocabulary = [*tokenizer.vocabulary, *new]
    larger.token_bytes = [*tokenizer.token_bytes, *map(tokenizer.bytes_of_special, new)]
    larger.special_tokens = {**tokenizer.special_tokens, **{name: i for i, name in enumerate(new, tokenizer.vocab_size)}}
    return larger


def sorted_by_id(vocabulary: Mapping[str, int]) -> list[str]:
    """The tokens in the order of their ids. Raises InputError if the ids are not 0 .. V - 1."""
    wrong = next((token for token, i in vocabulary.items() if type(i) is not int), None)
    if wrong is not None:
        raise InputError(f"the id of the token {quote(wrong)} is not an integer: {quote(vocabulary[wrong])}")
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    for expected, token in enumerate(tokens):
        if vocabulary[token] != expected:
            raise InputError(f"{len(tokens):,} tokens need the ids 0 to {len(tokens) - 1}, each once; the token "
                             f"{quote(token)} has the id {quote(vocabulary[token])} where {expected} was expected")
    return tokens


def special_last(vocabulary: Mapping[str, int], special_tokens: Collection[str]) -> tuple[list[str], list[str]]:
    """The plain tokens and the special tokens, in the order of their ids. Raises InputError if a special token comes
    before a plain one.
    """
    tokens = sorted_by_id(vocabulary)
    plain = len(tokens) - len(set(special_tokens))
    early = next((token for token in special_tokens if vocabulary[token] < plain), None)
    if early is not None:
        raise InputError(f"the special token {quote(early)} has the id {vocabulary[early]}, which must be greater than "
                         "those of all other tokens")
    return tokens[:plain], tokens[plain:]


def add_special_tokens(vocabulary: dict[str, int], added: object) -> list[str]:
    """Add the special tokens that are missing to the vocabulary  ->  all special tokens. Raises InputError."""
    added = added if isinstance(added, list) else [added] if added else []
    for token in added:
        if not (isinstance(token, dict) and isinstance(token.get("content"), str) and "id" in token):
            raise InputError(f"an added token with content and id was expected, not {quote(token)}")
        content = token["content"]
        if not token.get("special") or token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise InputError(f"npgpt does not support the added token {quote(content)}: it must be special, without "
                             "lstrip, rstrip and single_word")
        if vocabulary.setdefault(content, token["id"]) != token["id"]:
            raise InputError(f"the added token {quote(content)} has the id {quote(token['id'])}, but in the vocabulary "
                             f"{quote(vocabulary[content])}")
    return [token["content"] for token in added]


def quote(value: object) -> str:
    """A value from a file, for an error message: at most 60 characters, however large the value is."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value):,}"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."
