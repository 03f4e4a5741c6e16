"""Byte-level BPE, GPT-2's tokenizer: the bytes of each word are merged into longer tokens, by a list of merges."""
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import PIECE, Tokenizer
from npgpt.text.byte_pair_files import quote, write_files
from npgpt.text.pre_tokens import chunks, pre_tokens
from npgpt.text.raw_bytes import byte_vocabulary

SURROGATE = re.compile(r"[\ud800-\udfff]")
CACHED_WORDS, LONGEST_CACHED = 100_000, 40              # words, characters: at most about 30 MB


class BytePairTokenizer(Tokenizer):
    """A vocabulary {token: id} and merges [(left, right), ...], of which earlier ones have priority. Tokens are written
    as in GPT-2's files, with one character for each byte (byte_characters): " the" is "Ġthe". Special tokens are
    written as they are, and recognised in a text only if `encode` allows it.

    A vocabulary may lack bytes. In a text, each of these becomes the special token `unknown`; if that is None, such a
    text cannot be encoded. Raises InputError for a vocabulary that is inconsistent with the merges.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]],
                 special_tokens: Iterable[str] = (), unknown: str | None = None) -> None:
        self.merges, special_tokens, self.unknown = list(merges), list(special_tokens), unknown
        self.vocabulary = sorted_by_id(vocabulary)
        require_consistent(vocabulary, self.merges, special_tokens)
        if unknown is not None and unknown not in special_tokens:
            raise InputError(f"the unknown token {quote(unknown)} is not a special token")
        self.special_tokens = {token: vocabulary[token] for token in special_tokens}
        byte_of = byte_vocabulary()
        self.token_bytes = [token.encode() if token in self.special_tokens else bytes(map(byte_of.__getitem__, token))
                            for token in self.vocabulary]
        self._id_of_byte = [vocabulary.get(character, vocabulary.get(unknown)) for character in byte_of]
        self._ranks = {(vocabulary[left], vocabulary[right]): rank for rank, (left, right) in enumerate(self.merges)}
        self._merged = [vocabulary[left + right] for left, right in self.merges]
        self._words = WordCache(self.merge_word)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> np.ndarray:
        """text  ->  ids (N,). Raises InputError if allowed_special contains a text that is not a special token, and for
        a byte that neither the vocabulary nor an unknown token represents.

        With all bytes in the vocabulary, every text can be encoded, and decode_bytes returns its UTF-8. A lone surrogate,
        which UTF-8 cannot represent, is encoded as by Python's "surrogatepass" (tiktoken replaces it with U+FFFD).
        """
        if not allowed_special:
            return self._encode_plain(text)
        unknown = [token for token in allowed_special if token not in self.special_tokens]
        if unknown:
            raise InputError(f"{unknown[0]!r} is not a special token; this tokenizer has "
                             f"{', '.join(self.special_tokens) or 'none'}")
        longest_first = sorted(allowed_special, key=len, reverse=True)
        pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)      # plain, special, plain, ...
        return np.concatenate([[self.special_tokens[piece]] if i % 2 else self._encode_plain(piece)
                               for i, piece in enumerate(pieces)])

    def pieces(self, text: str) -> Iterator[str]:
        return chunks(text, PIECE)

    def _encode_plain(self, text: str) -> np.ndarray:
        return np.fromiter(chain.from_iterable(map(self._words.__getitem__, pre_tokens(text))), np.int64)

    def merge_word(self, word: str) -> list[int]:
        """The ids of one word. Of all adjacent pairs that can be merged, the earliest in the list of merges is next; of
        equal pairs, the leftmost.

        A heap holds the possible merges by rank and position, so that n bytes take O(n log n) steps instead of O(n²).
        Merges change neighbouring pairs, whose entries stay in the heap: an outdated entry is skipped when popped,
        because its rank differs from that of the present pair.
        """
        data = word.encode("utf-8", "surrogatepass")
        ids = [self._id_of_byte[byte] for byte in data]
        if None in ids:
            raise InputError(f"the byte 0x{data[ids.index(None)]:02x} of {quote(word)} is not in the vocabulary "
                             f"of {self.vocab_size:,} tokens")
        n = len(ids)
        rank_of = self._ranks.get
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))      # a linked list of the tokens; n ends it
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

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, vocab.json and merges.txt, which transformers and tokenizers can load."""
        write_files(Path(folder), self.vocabulary, self.merges, self.special_tokens, self.unknown)


class WordCache(dict):
    """The ids of words that were encoded before. It is cleared when full, and does not store long words."""

    def __init__(self, ids_of: Callable[[str], list[int]]) -> None:
        self.ids_of = ids_of

    def __missing__(self, word: str) -> list[int]:
        ids = self.ids_of(word)
        if len(word) <= LONGEST_CACHED:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids


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


def require_consistent(vocabulary: Mapping[str, int], merges: list[tuple[str, str]], special: Collection[str]) -> None:
    """Raise InputError unless the vocabulary consists of bytes, the tokens that merges make, and the special tokens.
    Merges must not use or make special tokens, so that these are never the result of encoding plain text.
    """
    made = set(byte_vocabulary())
    odd = next((token for token in special
                if token not in vocabulary or not token or token in made or SURROGATE.search(token)), None)
    if odd is not None:
        raise InputError(f"the special token {quote(odd)} is empty, is a byte, contains a surrogate, or is not in the vocabulary")
    plain = vocabulary.keys() - set(special)
    if not plain:
        raise InputError("the vocabulary has no byte, so that it cannot represent a text")
    seen = set()
    for number, (left, right) in enumerate(merges, 1):
        merged = left + right
        if left not in plain or right not in plain or merged not in plain:
            absent = next(token for token in (left, right, merged) if token not in plain)
            raise InputError(f"merge {number}, {quote(left)} and {quote(right)}: {quote(absent)} is "
                             f"{'a special token' if absent in vocabulary else 'not in the vocabulary'}")
        if (left, right) in seen:
            raise InputError(f"merge {number}, {quote(left)} and {quote(right)}, occurs twice")
        seen.add((left, right))
        made.add(merged)
    orphan = next((token for token in vocabulary if token in plain and token not in made), None)
    if orphan is not None:
        raise InputError(f"the token {quote(orphan)} is neither a byte nor special, and no merge makes it: is the list "
                         f"of {len(merges):,} merges complete?")
