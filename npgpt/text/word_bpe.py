"""Byte pair encoding of words, GPT-1's tokenizer: the characters of each word are merged into longer tokens.

It is the method of Sennrich et al. (2016) on BERT's words (bert_words.py). A token at the end of a word ends with </w>,
which stands for the space after it. Results are those of OpenAIGPTTokenizer of Hugging Face's transformers.
"""
from collections.abc import Iterable, Mapping

from npgpt.errors import InputError
from npgpt.text.bert_words import BertNormalizer
from npgpt.text.byte_pair_files import parse_merge
from npgpt.text.merging import merged
from npgpt.text.vocabulary import quote
from npgpt.text.word_tokenizer import WordTokenizer, parse_word_tokenizer

WORD_END, UNKNOWN = "</w>", "<unk>"
MODEL = {"type": "BPE", "dropout": None, "continuing_subword_prefix": "", "end_of_word_suffix": WORD_END, "fuse_unk": False,
         "byte_fallback": False, "ignore_merges": False}


class WordBPETokenizer(WordTokenizer):
    """A vocabulary {token: id} and merges [(left, right), ...], of which earlier ones have priority. Each character that is
    not in the vocabulary becomes `unknown`. Raises InputError for a vocabulary that is inconsistent with the merges.
    """

    decoder = {"type": "BPEDecoder", "suffix": WORD_END}

    def __init__(self, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]], special_tokens: Iterable[str] = (),
                 unknown: str = UNKNOWN, normalizer: BertNormalizer = BertNormalizer()) -> None:
        super().__init__(vocabulary, special_tokens, unknown, normalizer)
        self.merges = list(merges)
        self.token_bytes = [token.replace(WORD_END, " ").encode() for token in self.vocabulary]
        for number, (left, right) in enumerate(self.merges, 1):
            absent = next((token for token in (left, right, left + right) if token not in self.ids), None)
            if absent is not None:
                raise InputError(f"merge {number}, {quote(left)} and {quote(right)}: {quote(absent)} is "
                                 f"{'a special token' if absent in vocabulary else 'not in the vocabulary'}")
        self._ranks = {(self.ids[left], self.ids[right]): rank for rank, (left, right) in enumerate(self.merges)}
        self._products = [self.ids[left + right] for left, right in self.merges]

    @classmethod
    def of_json(cls, description: dict) -> "WordBPETokenizer":
        """The tokenizer that tokenizer.json describes. Raises InputError."""
        vocabulary, *others = parse_word_tokenizer(description, MODEL, cls.decoder)
        merges = description["model"].get("merges")
        if not isinstance(merges, list):
            raise InputError("model.merges is missing or not a list")
        return cls(vocabulary, [parse_merge(merge, "merge", number) for number, merge in enumerate(merges, 1)], *others)

    def encode_word(self, word: str) -> list[int]:
        unknown = self.special_tokens[self.unknown]
        return merged([self.ids.get(symbol, unknown) for symbol in symbols(word)], self._ranks, self._products)

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  words with single spaces between them. Raises InputError for an id outside the vocabulary."""
        ids = list(ids)
        text = super().decode(ids)
        return text[:-1] if ids and self.vocabulary[ids[-1]].endswith(WORD_END) else text

    def model_json(self) -> dict:
        return {**MODEL, "unk_token": self.unknown, "merges": list(self.merges)}


def symbols(word: str) -> list[str]:
    """What merging starts from: the characters, the last one with </w>."""
    return [*word[:-1], word[-1] + WORD_END]


def is_of_words(vocabulary: Iterable[str], merges: Iterable[tuple[str, str]]) -> bool:
    """Whether vocab.json and merges.txt are of this kind: they have characters with </w>, which no merge makes. In a
    byte-level vocabulary, every token but the bytes and special ones is made by a merge.
    """
    made = {left + right for left, right in merges}
    return any(len(token) == 1 + len(WORD_END) and token.endswith(WORD_END) and token not in made for token in vocabulary)
