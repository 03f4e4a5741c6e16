"""The command line: `npgpt COMMAND`, or `python -m npgpt COMMAND`. Each command is a file in commands/."""
import argparse
import contextlib
import os
import sys
import warnings
from bdb import BdbQuit
from collections.abc import Sequence

try:
    from npgpt import __version__
    from npgpt.commands import (attention, classify, evaluate, exercise, fill, finetune, generate, gradcheck, plot, tokenize,
                                trace, train, translate)
    from npgpt.errors import InputError
except KeyboardInterrupt:                                          # Ctrl-C while NumPy is imported
    sys.exit(130)

COMMANDS = {
    "train": (train, "train a model on text, and write it to a model directory"),
    "finetune": (finetune, "train a pretrained model on labelled examples"),
    "generate": (generate, "write text with a trained model"),
    "classify": (classify, "answer with a fine-tuned model: labels and probabilities"),
    "fill": (fill, "show the likeliest tokens in the places of [MASK], by a masked language model"),
    "translate": (translate, "translate or summarise texts, by an encoder-decoder"),
    "evaluate": (evaluate, "measure how well a model predicts texts, labels or answers"),
    "tokenize": (tokenize, "show how a text is split into tokens"),
    "gradcheck": (gradcheck, "compare every hand-written gradient with numerical ones, and show the errors"),
    "exercise": (exercise, "write backward passes yourself and find mistakes, with a check and hints"),
    "trace": (trace, "show everything that one forward and backward pass computes"),
    "attention": (attention, "show what each head of a model attends to"),
    "plot": (plot, "draw how training went"),
}
MESSAGE_PART = 4000     # characters at the beginning of a long message, and as many at its end


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, as all other errors."""

    def error(self, message: str) -> None:
        raise InputError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command  ->  exit status: 0, 2 for an error that the user can correct, 130 after Ctrl-C"""
    open_missing_streams()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")       # a character that the terminal lacks is not an error
    try:
        try:
            args = make_parser().parse_args(arguments)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)     # the commands check their numbers themselves
                return args.run(args)
        finally:
            sys.stdout.flush()                         # while an error of it can still be reported
    except InputError as error:
        return complain(str(error))
    except BrokenPipeError:                            # the reader of the output has closed it
        return 141
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError:
        return complain("not enough memory: a smaller model, context or batch needs less")
    except KeyboardInterrupt:
        say("")
        return 130
    except BdbQuit:                                    # q in a debugger that breakpoint() has started
        return 1
    finally:
        drop_output()


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="npgpt", description="Transformers in NumPy alone: train them, generate text, see how they work.",
                    epilog="Start with: npgpt train", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    parser.add_argument("--version", action="version", version=f"npgpt {__version__}")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".",
                                      allow_abbrev=False)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def open_missing_streams() -> None:
    """Discard what is written to a stream that was closed before Python started. Python has None in its place, and
    would print the errors for a missing standard error on standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


def drop_output() -> None:
    """Discard output that cannot be written: otherwise Python reports the error again at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(line: str) -> None:
    """Print a line on standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)


def complain(message: str) -> int:
    """Print a message in one line, even if it quotes line breaks or a very long text."""
    if len(message) > 2 * MESSAGE_PART:
        message = f"{message[:MESSAGE_PART]} ... {message[-MESSAGE_PART:]}"
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    say(f"npgpt: error: {line}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
