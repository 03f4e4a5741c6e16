"""Observer: watches the layers while they run, and notes every intermediate and its gradient.

Python's profiling hook reports each call and each return, so the layers and the model know nothing of it,
breakpoints go on working, and what is noted is what was really computed. The two directions are brought
together by the contract of the layers,

    y, cache = layer(x, ...)        dx, ... = layer_backward(dy, cache)

for the cache that a layer returns is the very one that its backward pass is given: dy is then the
gradient of y, and dx that of x. What a layer sits in is read from the cache too: the path that leads to
its own from the whole model's, such as blocks.0.attn.qkv.
"""
import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

from npgpt.inspection.intermediates import Call, Intermediate, Known
from npgpt.inspection.statistics import Summary, summarise

PACKAGE = Path(__file__).parent.parent
WATCHED = (str(PACKAGE / "layers"), str(PACKAGE / "model"))


class Observer:
    """The intermediates of all that runs while it watches, in the order in which they are made."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep                                   # the arrays, not only what is said of them
        self.intermediates: list[Intermediate] = []
        self.running: list[Call] = []
        self.layers: dict[int, Call] = {}                  # by the identity of their cache

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self.event)
        try:
            yield
        finally:
            sys.setprofile(before)

    def event(self, frame: FrameType, event: str, result: object) -> None:
        if not frame.f_code.co_filename.startswith(WATCHED):
            return
        if event == "call":
            self.begin(frame)
        elif event == "return" and self.running:
            self.end(self.running.pop(), result)

    def begin(self, frame: FrameType) -> None:
        """A function is called. Now its caller has what it hands on: a layer its inputs, a way back its dy."""
        caller = self.running[-1] if self.running else None
        code, arguments = frame.f_code, dict(frame.f_locals)
        call = Call(frame, f"{Path(code.co_filename).relative_to(PACKAGE).as_posix()} {code.co_name}", arguments)
        given = list(arguments.values())
        call.undoes = self.layers.get(id(given[1])) if len(given) > 1 else None
        if caller and caller.undoes:
            self.look_at_kept(caller)
        elif caller and call.undoes and caller.composite:         # here the way back begins
            self.look(caller)
            caller.composite = False
        elif caller and is_layer(frame):
            caller.composite = True
            self.look(caller)
            call.inputs = [self.input(array, name, caller, call) for name, array in arguments.items() if is_array(array)]
        if call.undoes and call.undoes.result and call.undoes.result.gradient is None:
            call.undoes.result.gradient = self.summary(given[0])
        self.running.append(call)

    def end(self, call: Call, result: object) -> None:
        """A function returns. Now a layer has what it keeps, and a way back all the gradients that it makes."""
        caller = self.running[-1] if self.running else None
        if call.undoes:
            self.note_gradients(call, result)
        elif is_layer(call.frame) and isinstance(result, tuple):
            y, cache = result
            self.layers[id(cache)] = call
            if call.composite:
                self.look(call)
            else:
                self.keep_cached(call, y, cache)
            known = call.find(y) or Known(y, call.made_by)
            call.result = known.noted
            if caller:
                caller.known.append(Known(y, known.made_by, call, known.noted))
            if not caller or not is_layer(caller.frame):
                self.name_paths(call, cache)
        elif call.composite:
            self.look(call)
        call.frame, call.arguments, call.known = None, {}, []      # so that its arrays are let go

    def look(self, call: Call) -> None:
        """Note the arrays that a function has given names to since it was last looked at."""
        for name, array in call.frame.f_locals.items():
            if not is_array(array) or any(array is given for given in call.arguments.values()):
                continue
            known = call.find(array)
            if known is None:
                known = Known(array, call.made_by)
                call.known.append(known)
            if known.noted is None:                                # else it has a name already
                known.noted = self.note(name, call, known.made_by, array, known.layer)
                if known.layer:
                    known.layer.result = known.noted

    def input(self, array: np.ndarray, name: str, caller: Call, layer: Call) -> Intermediate | None:
        """What a layer is given: something known, or made in the very line that calls the layer. None for
        what is no intermediate: parameters, and parts of what the caller has."""
        known = caller.find(array)
        if known:
            return known.noted
        others = [other for other in caller.frame.f_locals.values() if isinstance(other, np.ndarray)]
        if any(np.may_share_memory(array, other) for other in others):
            return None
        return self.note(name, layer, caller.made_by, array)

    def keep_cached(self, call: Call, y: np.ndarray, cache: tuple) -> None:
        """Note what a leaf keeps besides what it was given and what it gives."""
        own = {id(array): name for name, array in call.frame.f_locals.items()}       # of several names, the last
        given = {id(array) for array in (y, *call.arguments.values())}
        for array in cache:
            if is_array(array) and id(array) not in given and id(array) in own:
                call.kept.append(self.note(own[id(array)], call, call.made_by, array))

    def look_at_kept(self, backward: Call) -> None:
        """The gradient of xhat is dxhat, if the way back makes one: seen before its memory serves another end."""
        for intermediate in backward.undoes.kept:
            gradient = backward.frame.f_locals.get("d" + intermediate.variable)
            if intermediate.gradient is None and is_array(gradient):
                intermediate.gradient = self.summary(gradient)

    def note_gradients(self, backward: Call, result: object) -> None:
        layer = backward.undoes
        for intermediate, gradient in zip(layer.inputs, result if isinstance(result, tuple) else (result,)):
            if intermediate and intermediate.gradient is None and intermediate.result_of is None:
                intermediate.gradient = self.summary(gradient)
        sums = names_added_up(backward.frame.f_code)
        for intermediate in self.intermediates:
            name = "d" + intermediate.variable
            gradient = backward.frame.f_locals.get(name)
            if intermediate.owner is layer and is_array(gradient) and (intermediate.gradient is None or name in sums):
                intermediate.gradient = self.summary(gradient)

    def name_paths(self, outermost: Call, cache: tuple) -> None:
        for path, part in walk(cache):
            if id(part) in self.layers:
                self.layers[id(part)].path = path
        if not outermost.composite:
            outermost.path = outermost.made_by.split()[1]

    def note(self, variable: str, owner: Call, made_by: str, array: np.ndarray, layer: Call | None = None) -> Intermediate:
        self.intermediates.append(Intermediate(variable, owner, made_by, self.summary(array), layer))
        return self.intermediates[-1]

    def summary(self, array: np.ndarray | float) -> Summary:
        return summarise(np.asarray(array), self.keep)


def is_layer(frame: FrameType) -> bool:
    return frame.f_code.co_name + "_backward" in frame.f_globals


def is_array(value: object) -> bool:
    """Whether it is one of numbers; ids and masks are not."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def walk(cache: object, path: str = "") -> Iterator[tuple[str, tuple]]:
    """Every cache within a cache, with the path that leads there."""
    yield path, cache
    inner = cache._asdict().items() if hasattr(cache, "_asdict") else enumerate(cache)
    for name, part in inner:
        if isinstance(part, (tuple, list)):
            yield from walk(part, f"{path}.{name}" if path else str(name))


@functools.cache
def names_added_up(code: CodeType) -> frozenset[str]:
    """The names that a function adds to in place, as in `dm += dy`. A gradient is the sum over all uses of a value:
    where there are several, the code adds it up, and it is complete when the function ends."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except OSError:                                                # no source at hand
        return frozenset()
    return frozenset(node.target.id for node in ast.walk(tree) if isinstance(node, ast.AugAssign)
                     and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name))
