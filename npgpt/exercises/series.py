"""All exercises by name: backward passes to write, and mistakes to find."""
from pathlib import Path

from npgpt.errors import InputError
from npgpt.exercises.answer import answer
from npgpt.exercises.bugs import BUGS, bug_answer, bug_file, bug_solution
from npgpt.exercises.composite import COMPOSITE
from npgpt.exercises.elementary import ELEMENTARY
from npgpt.exercises.exercise_file import exercise_file, own_solution

LAYERS = {exercise.name: exercise for exercise in ELEMENTARY + COMPOSITE}
NAMES = [*LAYERS, *BUGS]


def require_name(name: str) -> None:
    if name not in NAMES:
        raise InputError(f"no exercise is called {name!r}; there are {', '.join(NAMES)}")


def file_name(name: str) -> str:
    return name.replace("-", "_") + "_exercise.py"


def text_of_file(name: str) -> str:
    """What an exercise's file holds before the learner has written anything."""
    file = file_name(name)
    return bug_file(name, file) if name in BUGS else exercise_file(LAYERS[name], file)


def hints_of(name: str) -> tuple[str, ...]:
    return BUGS[name].hints if name in BUGS else LAYERS[name].hints


def answer_to(name: str, path: Path) -> tuple[bool, list[str]]:
    """Run the learner's file  ->  whether it is right, and the lines to print."""
    return bug_answer(name, path) if name in BUGS else answer(LAYERS[name], path)


def solution_of(name: str) -> str:
    """What to compare one's own solution with."""
    return bug_solution(name) if name in BUGS else own_solution(LAYERS[name])
