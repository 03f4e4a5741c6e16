"""The file of an exercise: forward as it is in npgpt, and a backward function that is still empty."""
import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType

from npgpt.exercises.exercise import Exercise

WIDTH = 110
PAGE = '''"""Exercise {name}: write the backward pass.

{task}
{tuples}
    npgpt exercise --check {file}     compares your gradients with numerical ones
    npgpt exercise --hint {file}      gives a hint; once more, the next one
"""
{imports}


{forward}

def {name}_backward({upstream}, cache):
    """{upstream} has the shape of {name}'s first result; cache is its second.

    {returns}
    """
    raise NotImplementedError
'''


def exercise_file(exercise: Exercise, file: str) -> str:
    """The text of the file with this name. Forward's source is read from npgpt itself."""
    upstream, *_ = inspect.signature(exercise.backward).parameters
    results = ["d" + name for name in exercise.differentiable]
    tuples = "".join(f"    {line}\n" for line in named_tuples(exercise))
    if tuples:
        tuples = f"\nNamed tuples, with their fields:\n\n{tuples}"
    return PAGE.format(name=exercise.name, file=file, task=exercise.task, tuples=tuples, upstream=upstream,
                       imports="\n".join(imports(exercise)), forward=inspect.getsource(exercise.forward),
                       returns=described(results))


def described(results: list[str]) -> str:
    """What backward is to return."""
    if results == ["dx", "dp"]:
        return "Return dx, and the gradients of the parameters in the same groups as p."
    shape = "which has the shape of" if len(results) == 1 else "each with the shape of"
    return f"Return {', '.join(results)}, {shape} the argument."


def named_tuples(exercise: Exercise) -> Iterator[str]:
    """The named tuples that the file imports, with their fields."""
    for name in sorted(helpers_of(exercise)):
        helper = exercise.forward.__globals__.get(name)
        if isinstance(helper, type) and hasattr(helper, "_fields"):
            yield f"{name}({', '.join(helper._fields)})"


def imports(exercise: Exercise) -> Iterator[str]:
    """The import statements of the modules and helpers that the file needs."""
    module = exercise.forward.__globals__
    for name in globals_of(exercise.forward):
        if isinstance(module[name], ModuleType):
            yield f"import {module[name].__name__}" + f" as {name}" * (name != module[name].__name__)
    helpers = helpers_of(exercise)
    if helpers:
        yield ""
    for home in sorted(set(helpers.values())):
        names = ", ".join(sorted(name for name in helpers if helpers[name] == home))
        yield wrapped(f"from {home} import ", names)


def wrapped(statement: str, names: str) -> str:
    """An import statement, in parentheses if it is too long for one line."""
    if len(statement + names) <= WIDTH:
        return statement + names
    return f"{statement}(\n{textwrap.fill(names, WIDTH, initial_indent='    ', subsequent_indent='    ')})"


def helpers_of(exercise: Exercise) -> dict[str, str]:
    """What forward uses, the backward functions of the layers that it calls, and what else is given, with its module."""
    module = exercise.forward.__globals__
    helpers = {name: getattr(module[name], "__module__", exercise.forward.__module__)
               for name in globals_of(exercise.forward) if not isinstance(module[name], ModuleType)}
    helpers |= {f"{name}_backward": home for name, home in helpers.items() if f"{name}_backward" in module}
    return helpers | {one.__name__: one.__module__ for one in exercise.given}


def globals_of(function: Callable) -> list[str]:
    """The global names in a function's source, those of its annotations and defaults too, in alphabetical order."""
    used = {node.id for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Name)}
    return sorted(used & function.__globals__.keys() - {function.__name__})


def own_solution(exercise: Exercise) -> str:
    """The source of npgpt's own backward function, and of the functions of its file that it calls beside those given."""
    home = exercise.backward.__globals__
    known = {exercise.backward.__name__, *helpers_of(exercise)}
    called = [home[name] for name in exercise.backward.__code__.co_names if name not in known
              and isinstance(home.get(name), FunctionType) and home[name].__module__ == exercise.backward.__module__]
    return "\n\n".join(inspect.getsource(function) for function in (exercise.backward, *called))
