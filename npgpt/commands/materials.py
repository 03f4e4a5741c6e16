"""What `npgpt train` works on, made from its arguments: a text, its tokenizer, and a model to train."""
import argparse
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.interop.huggingface import load_model
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import (Corpus, encode_corpus, open_token_folder, python_documentation, read_text,
                               require_length)
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer

SIZES = ("n_layer", "n_head", "n_embd", "n_positions")
GPT2_VOCABULARY = 50257


class Materials(NamedTuple):
    corpus: Corpus
    tokenizer: Tokenizer | None                # None for token files that have none beside them
    config: GPTConfig
    initial: np.ndarray | None                 # parameters to start from; None for new ones

    def parameters(self, seed: int, dtype: str) -> np.ndarray:
        """The flat vector that training starts from."""
        if self.initial is not None:
            return self.initial
        return initial_parameters(self.config, seed, np.dtype(dtype))


def gather(args: argparse.Namespace) -> Materials:
    """Raises InputError or OSError where the arguments do not fit each other or the files."""
    initial, config = load_model(args.init, np.dtype(args.dtype)) if args.init else (None, None)
    tokenizer, corpus = read_corpus(args)
    sizes = {name: getattr(args, name) for name in SIZES if getattr(args, name) is not None}
    if config is None:
        vocab_size = tokenizer.vocab_size if tokenizer else GPT2_VOCABULARY if args.vocab_size is None else args.vocab_size
        config = preset(args.preset or "small", vocab_size=vocab_size, bos_token_id=None, eos_token_id=None, **sizes)
    elif sizes or args.preset:
        raise InputError("--init brings its own sizes: leave out --preset, "
                         + ", ".join("--" + name.replace("_", "-") for name in SIZES))
    if args.dropout is not None:
        config = dataclasses.replace(config, resid_pdrop=args.dropout, embd_pdrop=args.dropout, attn_pdrop=args.dropout)
    require_length(corpus.train, config.n_positions, "training text")
    require_length(corpus.validation, 1, "validation text (the last tenth)")
    return Materials(corpus, tokenizer, config, initial)


def read_corpus(args: argparse.Namespace) -> tuple[Tokenizer | None, Corpus]:
    """The tokenizer is that of --init, or beside the token files, or made for the text, in this order."""
    paths = args.data or []
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    home = args.init or folder
    tokenizer = load_tokenizer(home) if home and (args.init or holds_tokenizer(home)) else None
    if tokenizer and args.tokenizer:
        raise InputError(f"--tokenizer cannot be chosen: {home} has a tokenizer of its own")
    if folder:
        return tokenizer, open_token_folder(folder)
    text = read_text(paths) if paths else python_documentation()
    if tokenizer is None:
        tokenizer = ByteTokenizer() if args.tokenizer == "byte" else CharacterTokenizer.of_text(text)
    return tokenizer, encode_corpus(text, tokenizer)
