"""The command line: `npgpt COMMAND`, or `python -m npgpt COMMAND`. Each command is a file in commands/."""
import argparse
import os
import sys
import warnings
from collections.abc import Sequence

try:
    from npgpt.commands import attention, evaluate, generate, gradcheck, plot, tokenize, trace, train
    from npgpt.errors import InputError
except KeyboardInterrupt:                                          # Ctrl-C while NumPy is imported
    sys.exit(130)

COMMANDS = {"train": train, "generate": generate, "evaluate": evaluate, "tokenize": tokenize, "gradcheck": gradcheck,
            "trace": trace, "attention": attention, "plot": plot}
MESSAGE_PART = 4000     # characters at the beginning of a long message, and as many at its end


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, as all other errors."""

    def error(self, message: str) -> None:
        raise InputError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command  ->  exit status: 0, 2 for an error that the user can correct, 130 after Ctrl-C"""
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
        drop_output()
        return 141
    except OSError as error:
        drop_output()
        return complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError:
        return complain("not enough memory: a smaller model, context or batch needs less")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="npgpt", description="Transformers in NumPy alone: train them, generate text, see how they work.",
                    epilog="Start with: npgpt train", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = module.__doc__.partition(": ")[2].rstrip(".\n")
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".",
                                      allow_abbrev=False)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def drop_output() -> None:
    """Discard output that cannot be written: otherwise Python reports the error again at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> int:
    """Print a message in one line, even if it quotes line breaks or a very long text."""
    if len(message) > 2 * MESSAGE_PART:
        message = f"{message[:MESSAGE_PART]} ... {message[-MESSAGE_PART:]}"
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    print(f"npgpt: error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
