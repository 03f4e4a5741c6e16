"""npgpt exercise: backward passes to write and mistakes to find, with their checks and hints."""
import argparse
from pathlib import Path

from npgpt.commands.arguments import for_shell, path
from npgpt.errors import InputError
from npgpt.exercises.bugs import BUGS
from npgpt.exercises.learner import exercise_in
from npgpt.exercises.record import note, record_of
from npgpt.exercises.series import LAYERS, answer_to, file_name, hints_of, require_name, solution_of, text_of_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME",
                        help="write the file of this exercise into the working folder (without it: list all exercises)")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--check", type=path, metavar="FILE",
                       help="say what is wrong in your file, or that it is right. This runs the Python code in the file; "
                            "nothing else here does")
    files.add_argument("--hint", type=path, metavar="FILE",
                       help="give a hint for the exercise of your file, and the next one when asked again; how many were "
                            "given, and which exercises are done, is kept in .npgpt-exercises.json beside it")


def run(args: argparse.Namespace) -> int:
    if args.name and (args.check or args.hint):
        raise InputError("give the name of an exercise, or --check or --hint with its file, not both")
    if args.check:
        return check(args.check)
    if args.hint:
        return give_hint(args.hint)
    return write(args.name) if args.name else show_all()


def show_all() -> int:
    print(f"Write the backward pass of a layer (npgpt exercise {next(iter(LAYERS))} writes its file):")
    for name, exercise in LAYERS.items():
        asked = f"gradient{'s' * (len(exercise.differentiable) > 1)} of {', '.join(exercise.differentiable)}"
        print(f"  {name:22}{asked:70}{state(name)}".rstrip())
    print(f"\nFind the mistake in the backward pass of a GPT (npgpt exercise {next(iter(BUGS))} writes its file):")
    for name in BUGS:
        print(f"  {name:92}{state(name)}".rstrip())
    return 0


def state(name: str) -> str:
    _, done = record_of(Path(), name)
    exists = Path(file_name(name)).exists()
    return ("done" if done else "begun") if exists else ""


def write(name: str) -> int:
    """The file is new: it never takes the place of another."""
    require_name(name)
    file = Path(file_name(name))
    try:
        with open(file, "x", encoding="utf-8") as out:
            out.write(text_of_file(name))
    except FileExistsError:
        raise InputError(f"{file} exists already: check it with --check {file}, or move it away to begin again") from None
    print(f"{file} is written. Next: npgpt exercise --check {file}")
    return 0


def check(file: Path) -> int:
    """Exit status 0 if the file is right, else 1."""
    name = exercise_in(file)
    require_name(name)
    right, lines = answer_to(name, file)
    if right:
        note(file.parent, name, done=True)
        own = "This is npgpt's own:" if name in LAYERS else "This is the mistake:"
        lines = [f"all right. {own}", "", solution_of(name).rstrip()]
    else:
        lines += ["", f"a hint: npgpt exercise --hint {for_shell(file)}"]
    print("\n".join(lines))
    return 0 if right else 1


def give_hint(file: Path) -> int:
    name = exercise_in(file)
    require_name(name)
    hints = hints_of(name)
    given, _ = record_of(file.parent, name)
    number = min(given, len(hints) - 1)
    if given < len(hints):
        note(file.parent, name, hints=given + 1)
    last = " (the last one)" * (number == len(hints) - 1)
    print(f"hint {number + 1} of {len(hints)}{last}: {hints[number]}")
    return 0
