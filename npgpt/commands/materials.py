"""What `npgpt train` works on, made from its arguments: a text, its tokenizer, and a model to train."""
import argparse
import dataclasses
import hashlib
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.commands.progress import Progress
from npgpt.commands.resume import SIZES
from npgpt.errors import InputError
from npgpt.interop.huggingface import load_model
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_training import BYTES, END_OF_TEXT, count_words, learn_merges, tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import (Corpus, encode_corpus, open_token_folder, python_documentation, read_text,
                               require_length, split_text)
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer
from npgpt.runs.checkpoint import Checkpoint

GPT2_VOCABULARY = 50257
BPE_VOCABULARY = 1024          # for texts of about a megabyte: the common words, and each often enough to be learned
OTHER_TOKENS = BYTES + 1       # of a BPE vocabulary, those that no merge makes: the bytes, and the end of a text


class Materials(NamedTuple):
    corpus: Corpus
    tokenizer: Tokenizer | None                # None for token files that have none beside them
    config: GPTConfig
    initial: np.ndarray | None                 # parameters to start from; None for new ones
    digest: str                                # SHA-256 of the data

    def parameters(self, seed: int, dtype: str) -> np.ndarray:
        """The flat vector that training starts from."""
        if self.initial is not None:
            return self.initial
        return initial_parameters(self.config, seed, np.dtype(dtype))


def gather(args: argparse.Namespace, origin: Checkpoint | None = None) -> Materials:
    """origin: what a run goes on from, which brings configuration and tokenizer with it.

    Raises InputError or OSError where the arguments do not fit each other or the files.
    """
    initial, config = load_model(args.init, np.dtype(args.dtype)) if args.init else (None, None)
    tokenizer, corpus, digest = read_corpus(args, origin)
    sizes = {name: getattr(args, name) for name in SIZES if getattr(args, name) is not None}
    if origin:
        config = origin.config
    elif config is None:
        vocab_size = tokenizer.vocab_size if tokenizer else GPT2_VOCABULARY if args.vocab_size is None else args.vocab_size
        config = preset(args.preset or "small", vocab_size=vocab_size, bos_token_id=None, eos_token_id=None, **sizes)
    elif sizes or args.preset:
        raise InputError("--init brings its own sizes: leave out --preset, "
                         + ", ".join("--" + name.replace("_", "-") for name in SIZES))
    if args.dropout is not None:
        config = dataclasses.replace(config, resid_pdrop=args.dropout, embd_pdrop=args.dropout, attn_pdrop=args.dropout)
    require_length(corpus.train, config.n_positions, "training text")
    require_length(corpus.validation, 1, "validation text (the last tenth)")
    return Materials(corpus, tokenizer, config, initial, digest)


def read_corpus(args: argparse.Namespace, origin: Checkpoint | None) -> tuple[Tokenizer | None, Corpus, str]:
    """The tokenizer is the run's, or that of --init, or beside the token files, or made for the text, in this order."""
    paths = args.data or []
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    if folder:
        corpus = open_token_folder(folder)
        digest = hashlib.sha256(corpus.train)
        digest.update(corpus.validation)
    else:
        text = read_text(paths) if paths else python_documentation()
        digest = hashlib.sha256(text.encode())
    digest = digest.hexdigest()
    if origin:
        require_same_data(args, digest, origin)
        return origin.tokenizer, corpus if folder else encode_corpus(text, origin.tokenizer), digest

    home = args.init or folder
    tokenizer = load_tokenizer(home) if home and (args.init or holds_tokenizer(home)) else None
    for flag, value in (("--tokenizer", args.tokenizer), ("--vocab-size", args.vocab_size)):
        if tokenizer and value is not None:
            raise InputError(f"{flag} cannot be chosen: {home} has a tokenizer of its own")
    if folder:
        if args.tokenizer:
            raise InputError(f"--tokenizer cannot be chosen: {folder} has token ids, not text")
        return tokenizer, corpus, digest
    if tokenizer is None:
        tokenizer = make_tokenizer(args, text)
        return tokenizer, encode_corpus(text, tokenizer), digest
    try:
        return tokenizer, encode_corpus(text, tokenizer), digest
    except InputError as error:                    # a text has characters that another one had not
        raise InputError(f"{describe_data(args.data)}: {error} that {home} knows: take such characters out of the text, "
                         "or train a model of its own, without --init") from None


def require_same_data(args: argparse.Namespace, digest: str, origin: Checkpoint) -> None:
    """Raise InputError unless the data is, byte for byte, what the run was trained on."""
    if digest != origin.record["run"]["sha256"]:
        raise InputError(f"{describe_data(args.data)}: not the data that {args.out} was trained on, "
                         f"{describe_data(origin.record['run']['data'])}, or changed since")


def describe_data(paths: list | None) -> str:
    return ", ".join(map(str, paths)) if paths else "the documentation that comes with Python"


def make_tokenizer(args: argparse.Namespace, text: str) -> Tokenizer:
    """The kind that was asked for. A BPE vocabulary does not look at the validation text: it never lacks a token."""
    if args.tokenizer == "bpe":
        return learn_vocabulary(split_text(text)[0], BPE_VOCABULARY if args.vocab_size is None else args.vocab_size)
    if args.vocab_size is not None:
        raise InputError("--vocab-size can be chosen with --tokenizer bpe, or for token files without a tokenizer")
    return ByteTokenizer() if args.tokenizer == "byte" else CharacterTokenizer.of_text(text)


def learn_vocabulary(text: str, vocab_size: int) -> BytePairTokenizer:
    """Train a BPE vocabulary, showing how it goes. It is smaller than asked for where the text has no more pairs."""
    if vocab_size < OTHER_TOKENS:
        raise InputError(f"--vocab-size must be {OTHER_TOKENS} or more, not {vocab_size}: {BYTES} bytes and {END_OF_TEXT}")
    merges = []
    with Progress() as progress:
        progress.status("vocabulary: counting words")
        for pair in itertools.islice(learn_merges(count_words(text)), vocab_size - OTHER_TOKENS):
            merges.append(pair)
            progress.status(f"vocabulary: {len(merges):,} of {vocab_size - OTHER_TOKENS:,} merges")
    tokenizer = tokenizer_of_merges(merges)
    fewer = f" ({vocab_size:,} were asked for, but no pair occurs twice any more)" * (tokenizer.vocab_size < vocab_size)
    progress.line(f"vocabulary of {tokenizer.vocab_size:,}: {BYTES} bytes, {len(merges):,} merges learned from the "
                  f"training text, {END_OF_TEXT}{fewer}")
    return tokenizer
