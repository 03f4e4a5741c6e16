"""Byte-level BPE, GPT-2's tokenizer: bytes of a word are merged into ever longer tokens, in the order of a list."""
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.text.byte_pair_files import parse_tokenizer_json, quote, read_files, write_files
from npgpt.text.pre_tokens import pre_tokens
from npgpt.text.raw_bytes import byte_characters

SURROGATE = re.compile(r"[\ud800-\udfff]")
REMEMBERED_WORDS, LONGEST_REMEMBERED = 100_000, 40      # words, characters: some 30 MB at most


class BytePairTokenizer:
    """A vocabulary {token: id} and merges [(left, right), ...], the most urgent first, as GPT-2's files write them:
    a character for each byte (byte_characters), so that " the" is "Ġthe".

    Special tokens stand for themselves. Plain text never turns into one, unless `encode` is told to.
    Raises InputError for ids that are not 0 .. V - 1, a byte that is missing, merges of or into tokens that the
    vocabulary lacks, and tokens that are neither bytes nor special nor the result of a merge.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]],
                 special_tokens: Iterable[str] = ()) -> None:
        self.merges, special_tokens = list(merges), list(special_tokens)
        self.vocabulary = in_order_of_ids(vocabulary)
        require_tokens_made(vocabulary, self.merges, special_tokens)
        self.special_tokens = {token: vocabulary[token] for token in special_tokens}
        byte_of = {character: byte for byte, character in enumerate(byte_characters())}
        self._bytes = [token.encode() if token in self.special_tokens else bytes(map(byte_of.__getitem__, token))
                       for token in self.vocabulary]
        self._id_of_byte = [vocabulary[character] for character in byte_of]
        self._ranks = {(vocabulary[left], vocabulary[right]): rank for rank, (left, right) in enumerate(self.merges)}
        self._merged = [vocabulary[left + right] for left, right in self.merges]
        self._words = Memory(self.merge_word)

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> np.ndarray:
        """text  ->  ids (N,), without special tokens, but for those of the text that are allowed

        Every text can be encoded, and decode_bytes gives back its UTF-8. Half of a surrogate pair, which UTF-8
        has no bytes for, is written as Python's "surrogatepass" does (tiktoken makes U+FFFD of it).
        Raises InputError where something is allowed that is no special token.
        """
        if not allowed_special:
            return self._encode_plain(text)
        unknown = [token for token in allowed_special if token not in self.special_tokens]
        if unknown:
            raise InputError(f"{unknown[0]!r} is no special token; there are {', '.join(self.special_tokens) or 'none'}")
        longest_first = sorted(allowed_special, key=len, reverse=True)
        pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)      # plain, special, plain, ...
        return np.concatenate([[self.special_tokens[piece]] if i % 2 else self._encode_plain(piece)
                               for i, piece in enumerate(pieces)])

    def _encode_plain(self, text: str) -> np.ndarray:
        return np.fromiter(chain.from_iterable(map(self._words.__getitem__, pre_tokens(text))), np.int64)

    def merge_word(self, word: str) -> list[int]:
        """The ids of one word: of all neighbours that can be merged, the earliest in the list go first, and of
        these the leftmost.

        A heap holds what might be merged and where, so that n bytes take n log n steps, not n². An entry whose
        tokens were merged away meanwhile is noticed when it comes up: the pair that is there has another rank.
        """
        ids = [self._id_of_byte[byte] for byte in word.encode("utf-8", "surrogatepass")]
        n = len(ids)
        rank_of = self._ranks.get
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))      # neighbours that are left; n ends the word
        heap = [rank * n + i for i, pair in enumerate(zip(ids, ids[1:])) if (rank := rank_of(pair)) is not None]
        heapify(heap)
        while heap:
            rank, i = divmod(heappop(heap), n)
            j = after[i]
            if j == n or rank_of((ids[i], ids[j])) != rank:
                continue
            ids[i], ids[j] = self._merged[rank], None
            h, k = before[i], after[j]
            after[i] = k
            if k < n:
                before[k] = i
                if (rank := rank_of((ids[i], ids[k]))) is not None:
                    heappush(heap, rank * n + i)
            if h >= 0 and (rank := rank_of((ids[h], ids[i]))) is not None:
                heappush(heap, rank * n + h)
        return [i for i in ids if i is not None]

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  text; bytes that are not UTF-8 become U+FFFD. Raises InputError for an id outside the vocabulary."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        ids = list(ids)
        wrong = next((i for i in ids if not 0 <= i < self.vocab_size), None)
        if wrong is not None:
            raise InputError(f"the token id {wrong} is outside the vocabulary of {self.vocab_size}")
        return b"".join([self._bytes[i] for i in ids])

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, vocab.json and merges.txt, which transformers and tokenizers open."""
        write_files(Path(folder), self.vocabulary, self.merges, self.special_tokens)

    @classmethod
    def load(cls, folder: Path) -> "BytePairTokenizer":
        """Read tokenizer.json, or vocab.json and merges.txt where there is none. Raises InputError."""
        return cls.checked(*read_files(Path(folder)), str(folder))

    @classmethod
    def of_json(cls, description: dict, where: str) -> "BytePairTokenizer":
        return cls.checked(*parse_tokenizer_json(description, where), where)

    @classmethod
    def checked(cls, vocabulary: dict, merges: list, special_tokens: list, where: str) -> "BytePairTokenizer":
        """A tokenizer from a file; a mistake in it is said with the file's name."""
        try:
            return cls(vocabulary, merges, special_tokens)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


class Memory(dict):
    """The ids of words that came before: most words of a text do. Emptied when full; long words are not kept."""

    def __init__(self, ids_of: Callable[[str], list[int]]) -> None:
        self.ids_of = ids_of

    def __missing__(self, word: str) -> list[int]:
        ids = self.ids_of(word)
        if len(word) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED_WORDS:
                self.clear()
            self[word] = ids
        return ids


def in_order_of_ids(vocabulary: Mapping[str, int]) -> list[str]:
    """The tokens in the order of their ids. Raises InputError where these are not 0 .. V - 1."""
    wrong = next((token for token, i in vocabulary.items() if type(i) is not int), None)
    if wrong is not None:
        raise InputError(f"the id of the token {quote(wrong)} is no whole number: {quote(vocabulary[wrong])}")
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    for expected, token in enumerate(tokens):
        if vocabulary[token] != expected:
            raise InputError(f"{len(tokens):,} tokens need the ids 0 to {len(tokens) - 1}, each once; the token "
                             f"{quote(token)} has {quote(vocabulary[token])} where {expected} was expected")
    return tokens


def require_tokens_made(vocabulary: Mapping[str, int], merges: list[tuple[str, str]], special: Collection[str]) -> None:
    """Raise InputError unless tokens and merges fit: bytes and what merges make of them are the whole vocabulary,
    special tokens apart, which take no part in merges, so that plain text cannot turn into them.
    """
    odd = next((token for token in special if token not in vocabulary or not token or SURROGATE.search(token)), None)
    if odd is not None:
        raise InputError(f"the special token {quote(odd)} is not in the vocabulary, or no text")
    plain = vocabulary.keys() - set(special)
    for byte, character in enumerate(byte_characters()):
        if character not in plain:
            raise InputError(f"the vocabulary lacks the byte 0x{byte:02x}, which is written {character!r}")
    made = set(byte_characters())
    seen = set()
    for number, (left, right) in enumerate(merges, 1):
        absent = next((token for token in (left, right, left + right) if token not in plain), None)
        if absent is not None:
            raise InputError(f"merge {number}, {quote(left)} and {quote(right)}: {quote(absent)} is not in the vocabulary"
                             f"{' but as a special token' * (absent in vocabulary)}")
        if (left, right) in seen:
            raise InputError(f"merge {number}, {quote(left)} and {quote(right)}, stands twice")
        seen.add((left, right))
        made.add(left + right)
    if made < plain:
        orphan = next(token for token in vocabulary if token in plain and token not in made)
        raise InputError(f"the token {quote(orphan)} is neither a byte nor special, and no merge makes it: is the list "
                         f"of {len(merges):,} merges whole?")
