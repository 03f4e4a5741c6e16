"""Training of the vocabularies of GPT-1 (word_bpe.py) and BERT (word_piece.py) on a text.

Both begin with the characters of the text's words; then repeatedly the most frequent pair of adjacent tokens becomes a
new token (Sennrich et al. 2016). Google did not publish how BERT's vocabulary was made; this is how Hugging Face's
tokenizers make one. A text is then encoded as WordPiece says: the longest part first, whatever the order of the merges.
"""
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from npgpt.errors import InputError
from npgpt.text import word_bpe, word_piece
from npgpt.text.bert_words import BertNormalizer, pieces
from npgpt.text.byte_pair_training import learn_pairs
from npgpt.text.pre_tokens import CHUNK
from npgpt.text.word_bpe import WordBPETokenizer
from npgpt.text.word_piece import PREFIX, WordPieceTokenizer

Report = Callable[[int, int], None]            # is told how many tokens have been learned, and how many are wanted


def train_word_bpe(text: str, vocab_size: int, report: Report | None = None,
                   normalizer: BertNormalizer = BertNormalizer()) -> WordBPETokenizer:
    """GPT-1's kind of tokenizer, learned from a text: <unk>, the characters, and the tokens that merges make.

    It has fewer tokens than vocab_size if no other pair occurs twice. Raises InputError if it needs more. normalizer: what
    becomes of capitals and accents; by default both are lost, as with GPT-1.
    """
    tokens, pairs = learn_tokens(text, word_bpe.symbols, "".join, [word_bpe.UNKNOWN], vocab_size, report, normalizer)
    return WordBPETokenizer({token: i for i, token in enumerate(tokens)}, pairs, normalizer=normalizer)


def train_word_piece(text: str, vocab_size: int, report: Report | None = None,
                     normalizer: BertNormalizer = BertNormalizer()) -> WordPieceTokenizer:
    """BERT's kind of tokenizer, learned from a text: [PAD] [UNK] [CLS] [SEP] [MASK], the characters, and longer parts of
    words. normalizer and vocab_size as for train_word_bpe. Raises InputError if it needs more tokens.
    """
    special_tokens = list(word_piece.SPECIAL.values())
    tokens, _ = learn_tokens(text, word_piece.symbols, lambda pair: pair[0] + pair[1].removeprefix(PREFIX), special_tokens,
                             vocab_size, report, normalizer)
    return WordPieceTokenizer({token: i for i, token in enumerate(tokens)}, special_tokens, normalizer=normalizer)


def learn_tokens(text: str, symbols: Callable[[str], list[str]], join: Callable[[tuple[str, str]], str],
                 special_tokens: list[str], vocab_size: int, report: Report | None,
                 normalizer: BertNormalizer = BertNormalizer()) -> tuple[list[str], list[tuple[str, str]]]:
    """The tokens of a vocabulary in the order of their ids, and the pairs that were joined.

    symbols divides a word into tokens of one character, and join makes a token of two.
    """
    words = count_words(text, normalizer)
    tokens = [*special_tokens, *alphabet(words, symbols)]
    wanted = vocab_size - len(tokens)
    if wanted < 0:
        raise InputError(f"a vocabulary of {vocab_size:,} tokens is too small: {len(tokens):,} are needed for the "
                         f"characters of the text and {' '.join(special_tokens)}")
    ids = {token: i for i, token in enumerate(tokens)}
    in_ids = (([ids[symbol] for symbol in symbols(word)], times) for word, times in words.items())
    pairs = []
    for left, right in islice(learn_pairs(in_ids, len(tokens)), wanted):
        pairs.append((tokens[left], tokens[right]))
        tokens.append(join(pairs[-1]))
        if report:
            report(len(pairs), wanted)
    return tokens, pairs


def count_words(text: str, normalizer: BertNormalizer = BertNormalizer()) -> Counter[str]:
    """How often each of BERT's words occurs."""
    raw_words, words = Counter(), Counter()
    for piece in pieces(text, CHUNK):
        raw_words.update(normalizer.raw_words(piece))
    for raw_word, times in raw_words.items():
        for word in normalizer.split(raw_word):
            words[word] += times
    return words


def alphabet(words: Iterable[str], symbols: Callable[[str], list[str]]) -> list[str]:
    """The tokens of one character, sorted: both forms, inside a word and at its end (or beginning), of the characters of
    longer words, so that every word of these characters can be encoded; one form of those that are words by themselves.
    """
    words = list(words)
    inside = set().union(*(word for word in words if len(word) > 1))
    alone = {word for word in words if len(word) == 1}
    return sorted({symbol for word in [*alone, *(2 * character for character in inside)] for symbol in symbols(word)})
