"""Byte-level BPE, GPT-2's tokenizer: the bytes of each word are merged into longer tokens, by a list of merges."""
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import PIECE, Tokenizer
from npgpt.text.byte_pair_files import write_files
from npgpt.text.merging import WordCache, merged
from npgpt.text.pre_tokens import chunks, pre_tokens
from npgpt.text.raw_bytes import byte_vocabulary
from npgpt.text.vocabulary import SURROGATE, quote, sorted_by_id


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

    def pieces(self, text: str) -> Iterator[str]:
        return chunks(text, PIECE)

    def encode_plain(self, text: str) -> np.ndarray:
        """text  ->  ids (N,). Raises InputError for a byte that neither the vocabulary nor an unknown token represents.

        With all bytes in the vocabulary, every text can be encoded, and decode_bytes returns its UTF-8. A lone surrogate,
        which UTF-8 cannot represent, is encoded as by Python's "surrogatepass" (tiktoken replaces it with U+FFFD).
        """
        return np.fromiter(chain.from_iterable(map(self._words.__getitem__, pre_tokens(text))), np.int64)

    def merge_word(self, word: str) -> list[int]:
        """The ids of one word."""
        data = word.encode("utf-8", "surrogatepass")
        ids = [self._id_of_byte[byte] for byte in data]
        if None in ids:
            raise InputError(f"the byte 0x{data[ids.index(None)]:02x} of {quote(word)} is not in the vocabulary "
                             f"of {self.vocab_size:,} tokens")
        return merged(ids, self._ranks, self._merged)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, vocab.json and merges.txt, which transformers and tokenizers can load."""
        write_files(Path(folder), self.vocabulary, self.merges, self.special_tokens, self.unknown)


def require_consistent(vocabulary: Mapping[str, int], merges: list[tuple[str, str]], special: Collection[str]) -> None:
    """Raise InputError unless the vocabulary consists of bytes, the tokens that merges make, and the special tokens.
    Merges must not use or make special tokens, so that these are never the result of encoding plain text.
    """
    made = set(byte_vocabulary())
    odd = next((token for token in special
                if token not in vocabulary or not token or token in made or SURROGATE.search(token)), None)
    if odd is not None:
        raise InputError(f"the special token {quote(odd)} is empty, is a byte, contains a surrogate, or is not in the "
                         "vocabulary")
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
