"""Vocabularies that are learned from a text, with progress."""
import itertools
from collections.abc import Callable
from functools import partial

from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.text.bert_words import BertNormalizer
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_training import BYTES, END_OF_TEXT, count_words, learn_merges, tokenizer_of_merges
from npgpt.text.word_bpe import WordBPETokenizer
from npgpt.text.word_piece import WordPieceTokenizer
from npgpt.text.word_training import train_word_bpe, train_word_piece

BPE_VOCABULARY = 1024          # for texts of about a megabyte: the common words, each frequent enough to be learned
OTHER_TOKENS = BYTES + 1       # tokens of a byte-level vocabulary that no merge makes: the bytes and <|endoftext|>


def learn_vocabulary(text: str, vocab_size: int) -> BytePairTokenizer:
    """Train a BPE vocabulary and show the progress. It is smaller than asked for if the text has too few different pairs."""
    if vocab_size < OTHER_TOKENS:
        raise InputError(f"--vocab-size must be {OTHER_TOKENS} or more, not {vocab_size}: {BYTES} bytes and {END_OF_TEXT}")
    wanted, merges = vocab_size - OTHER_TOKENS, []
    with Progress() as progress:
        progress.status("vocabulary: counting words")
        for pair in itertools.islice(learn_merges(count_words(text)), wanted):
            merges.append(pair)
            progress.status(f"vocabulary: {len(merges):,} of {wanted:,} merges")
    tokenizer = tokenizer_of_merges(merges)
    fewer = f" ({vocab_size:,} were asked for, but no other pair occurs twice)" * (tokenizer.vocab_size < vocab_size)
    progress.line(f"vocabulary of {tokenizer.vocab_size:,}: {BYTES} bytes, {len(merges):,} merges learned from the "
                  f"training text, {END_OF_TEXT}{fewer}")
    return tokenizer


def learn_words(train: Callable, normalizer: BertNormalizer, text: str,
                vocab_size: int) -> WordBPETokenizer | WordPieceTokenizer:
    """Train a vocabulary of parts of words, by one of the functions of word_training, and show the progress."""
    with Progress() as progress:
        progress.status("vocabulary: counting words")
        tokenizer = train(text, vocab_size, lambda learned, wanted: progress.status(
            f"vocabulary: {learned:,} of {wanted:,} merges"), normalizer)
    progress.line(f"vocabulary of {tokenizer.vocab_size:,} parts of words, learned from the training text")
    return tokenizer


LEARNED = {"bpe": learn_vocabulary,
           "gpt1": partial(learn_words, train_word_bpe, BertNormalizer(strip_accents=False)),
           "wordpiece": partial(learn_words, train_word_piece, BertNormalizer(lowercase=False))}
