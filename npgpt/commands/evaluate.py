"""npgpt evaluate: measure how well a model predicts texts, labels or answers."""
import argparse
import math
import sys
from functools import partial
from pathlib import Path

import numpy as np

from npgpt.commands import evaluate_labelled, evaluate_pairs, evaluate_prompted
from npgpt.commands.arguments import OUT, count, model_directory, output_file, path, require_model
from npgpt.commands.evaluate_masked import show_masked
from npgpt.commands.progress import Progress
from npgpt.commands.text_data import described, read_data, recorded_paths, show_encoded
from npgpt.errors import InputError
from npgpt.interop.huggingface import load_description, load_model
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.runs.checkpoint import recorded_settings
from npgpt.scoring.perplexity import text_loss
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.terminal import harmless
from npgpt.text.base_tokenizer import PIECE
from npgpt.text.corpus import Corpus, encode_text, split_text
from npgpt.text.example_files import SEPARATORS
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer

SPLITS = {"train": "the training split of ", "validation": "the validation split of ", "all": ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=model_directory, default=OUT, metavar="DIR",
                        help=f"a model directory (default: {OUT})")
    parser.add_argument("--data", type=path, nargs="+", metavar="FILE",
                        help="UTF-8 text files, folders whose .txt files are read, or one folder with nanoGPT's train.bin "
                             "and val.bin; or one file of examples (.jsonl, .csv, .tsv) (default: those that "
                             "the run in DIR was trained on)")
    parser.add_argument("--split", choices=tuple(SPLITS),
                        help="train is the first nine tenths of the text, validation the last tenth (default: all of "
                             "--data; without --data, validation)")
    parser.add_argument("--stride", type=count, metavar="N",
                        help="measure a text in overlapping windows, each beginning N tokens after the one before it "
                             "(default: windows side by side)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the figures of labelled examples there")
    evaluate_prompted.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    require_model(args.model)
    if args.data and is_labelled(args.data[0]):
        config, heads = load_description(args.model)
        if isinstance(config, EncoderDecoderConfig):
            return evaluate_pairs.run(args)
        return (evaluate_labelled if heads else evaluate_prompted).run(args)
    parameters, config = load_model(args.model, kinds=(GPTConfig, BertConfig))
    paths, data = find_data(args)
    split = args.split or ("all" if args.data else "validation")
    measured = SPLITS[split] + described(paths)
    if isinstance(config, BertConfig) and args.stride:
        raise InputError("--stride is for GPTs: the windows of a masked language model do not overlap")
    tokenizer = None if isinstance(data, Corpus) and not holds_tokenizer(args.model) else load_tokenizer(args.model)
    try:
        with Progress() as progress:
            tokens = tokens_of(data, split, tokenizer, progress)
    except InputError as error:
        raise InputError(f"{measured}: {error}") from None

    if isinstance(config, BertConfig):
        print(f"text           {harmless(measured, sys.stdout)}")
        show_masked(parameters, config, tokenizer, tokens)
        return 0
    with Progress() as progress:
        found = text_loss(LanguageModelling(config), parameters, tokens, args.stride, lambda done, loss: progress.status(
            f"{done:,} of {len(tokens) - 1:,} tokens  loss {loss:.4f}"))
    print(f"text           {harmless(measured, sys.stdout)}")
    print(f"tokens         {found.targets:,} predicted{': all but the first' * (found.targets == len(tokens) - 1)}")
    print(f"loss           {found.loss:.4f} nats a token")
    print(f"perplexity     {perplexity(found.loss):.3f}")
    if found.guide_loss is not None:
        print(f"  as weighted  {perplexity(found.guide_loss):.3f} in the guide of transformers")
    if tokenizer and found.targets == len(tokens) - 1:
        size = sum(len(tokenizer.decode_bytes(tokens[start:start + PIECE])) for start in range(1, len(tokens), PIECE))
        print(f"bits per byte  {found.loss * found.targets / math.log(2) / size:.4f}")
    return 0


def perplexity(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf


def is_labelled(name: Path) -> bool:
    """Whether a file has examples, and not a text."""
    return name.suffix.lower() in (".jsonl", *SEPARATORS)


def find_data(args: argparse.Namespace) -> tuple[list[Path] | None, str | Corpus]:
    """The data of --data, or those of the model's own run, and where they are from."""
    if args.data:
        return args.data, read_data(args.data)[0]
    settings = recorded_settings(args.model)
    if settings is None:
        raise InputError(f"{args.model} holds a model, but not the run that trained it: name a text to measure with --data")
    paths = recorded_paths(settings)
    data, digest = read_data(paths)
    if digest != settings.sha256:
        raise InputError(f"{described(paths)}: not what {args.model} was trained on, or changed since: name a text to "
                         "measure with --data")
    return paths, data


def tokens_of(data: str | Corpus, split: str, tokenizer: Tokenizer | None, progress: Progress) -> np.ndarray:
    """Raises InputError for a character that the vocabulary lacks."""
    if isinstance(data, Corpus):
        return np.concatenate(data) if split == "all" else getattr(data, split)
    train, validation = split_text(data)
    text = {"train": train, "validation": validation, "all": data}[split]
    return encode_text(text, tokenizer, partial(show_encoded, progress, len(text)))
