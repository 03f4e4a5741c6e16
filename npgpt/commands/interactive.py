"""npgpt generate --interactive: the model continues each line that is typed, and then waits for the next."""
import argparse
import contextlib
import importlib
import itertools
import sys
from collections.abc import Iterator

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.conversation import Conversation
from npgpt.generation.generate import default_prompt, stream_text
from npgpt.model.model import Model
from npgpt.terminal import harmless
from npgpt.text.corpus import decode_text

STOP = "\n"


def converse(args: argparse.Namespace, model: Model, text: str, most: int) -> None:
    """Read a line, continue the text so far by at most `most` tokens, up to a stop text, and so on to the end of the input.

    The text begins with `text`. Ctrl-C ends an answer; the next line then begins after the stop text all the same.
    """
    tokenizer, conversation = model.tokenizer, Conversation(model.parameters, model.config)
    rng, stops = np.random.default_rng(args.seed), args.stop or [STOP]
    sampling = {} if args.greedy else {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    end = () if args.ignore_end else model.config.end_tokens
    conversation.read(tokenizer.encode(text) if text else [])
    for line in lines():
        try:
            conversation.read(tokenizer.encode(line))
        except InputError as error:
            print(f"npgpt: error: {harmless(str(error), sys.stderr)}", file=sys.stderr)
            continue
        if not conversation.text:
            conversation.read(default_prompt(model.config, tokenizer))
        before = len(conversation.text)
        choices = conversation.answer(rng, args.greedy, args.repetition_penalty, end, **sampling)
        try:
            for piece in stream_text((choice.token for choice in itertools.islice(choices, most)), tokenizer, stops):
                print(harmless(piece, sys.stdout), end="", flush=True)
        except KeyboardInterrupt:
            pass
        finally:
            print(flush=True)                                  # so that an error message begins on a new line
        written = tokenizer.decode(token for token in conversation.text[before:] if token < tokenizer.vocab_size)
        if not any(stop in written for stop in stops):
            with contextlib.suppress(InputError):              # the vocabulary may lack it
                conversation.read(tokenizer.encode(stops[0]))


def lines() -> Iterator[str]:
    """Lines from standard input: on a terminal with a prompt, and with editing and a history where Python has readline.
    Ctrl-C there discards what was typed of a line.
    """
    if not sys.stdin.isatty():
        for line in sys.stdin.buffer:
            yield decode_text(line, "standard input").removesuffix("\n").removesuffix("\r")
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")                    # input() then uses it
    while True:
        try:
            line = input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        yield line
