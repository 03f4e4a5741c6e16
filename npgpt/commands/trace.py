"""npgpt trace: show everything that one forward and backward pass computes."""
import argparse
from functools import partial

import numpy as np

from npgpt.commands.arguments import OUT, model_directory, path, require_model
from npgpt.commands.reading import add_text_arguments, read_tokens
from npgpt.errors import InputError
from npgpt.files import destination
from npgpt.inspection.trace import Trace, save_trace, trace
from npgpt.inspection.trace_table import gradient_lines, intermediate_lines
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.interop.huggingface import load_model
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import masked, masking_of
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.tokenizer import load_tokenizer

TINY_TEXT, TINY_B = "a tiny model", 2           # 2 x (5 + 1) characters, 11 distinct ones: all dimensions are different


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description += (
        " The target of each token is the token after it, or by a masked language model the token itself, if it is one of "
        "the 15% that are masked; the loss is the mean cross-entropy, and dropout is off. Without"
        f" --model, --text and --ids the model is a tiny GPT that has not been trained, on {TINY_TEXT!r} as two sequences.")
    parser.add_argument("--model", type=model_directory, metavar="DIR",
                        help=f"a model directory (default: the tiny GPT; with --text or --ids: {OUT})")
    add_text_arguments(parser)
    parser.add_argument("--dtype", choices=("float32", "float64"),
                        help="(default: the model's own; float32 for the tiny GPT)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="the random seed of the tiny GPT's parameters, or of the masks (default: 0)")
    parser.add_argument("--full", action="store_true", help="print the arrays themselves; of large ones, the corners")
    parser.add_argument("--save", type=path, metavar="FILE.npz",
                        help="write every array for numpy.load: ids, targets, logits, loss; parameter/NAME and grad/NAME "
                             "under Hugging Face's names; value/NAME and grad/NAME of the intermediates")


def run(args: argparse.Namespace) -> int:
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {args.seed}")
    archive = args.save and destination(args.save)
    if args.model or args.text is not None or args.ids:
        folder = args.model or OUT
        require_model(folder)
        parameters, config = load_model(folder, args.dtype and np.dtype(args.dtype), (GPTConfig, BertConfig))
        causal = isinstance(config, GPTConfig)
        ids = read_tokens(args, folder, config, least=2, most=config.n_positions + causal).ids[None]
    else:
        config = preset("tiny")
        parameters = initial_parameters(language_model_table(config), args.seed, np.dtype(args.dtype or "float32"))
        ids = CharacterTokenizer.of_text(TINY_TEXT).encode(TINY_TEXT).reshape(TINY_B, -1)
    if isinstance(config, BertConfig):
        task = MaskedLanguageModelling(config)
        batch = masked(ids, masking_of(load_tokenizer(folder)), np.random.default_rng(args.seed))
    else:
        task, batch = LanguageModelling(config), TokenBatch(ids[:, :-1], ids[:, 1:])
    traced = trace(task, batch, parameters, bool(args.full or archive))
    if archive:
        save_trace(archive, traced, partial(tensors_as_in_file, config=config))
    print(describe(traced), *intermediate_lines(traced, args.full), "", *gradient_lines(traced, args.full), sep="\n")
    return 0


def describe(traced: Trace) -> str:
    config, (B, T) = traced.task.config, traced.batch.ids.shape
    return (f"B {B} sequence{'s' * (B > 1)}, T {T} token{'s' * (T > 1)}, C {config.n_embd} channels, "
            f"H {config.n_head} head{'s' * (config.n_head > 1)} of D {config.n_embd // config.n_head}, "
            f"L {config.n_layer} layer{'s' * (config.n_layer > 1)}, vocabulary size {config.vocab_size:,}; "
            f"{len(traced.parameters):,} parameters in {traced.parameters.dtype}\n"
            f"loss {traced.loss:.6g} nats a token; a uniform guess gives ln V = {np.log(config.vocab_size):.6g}\n")
