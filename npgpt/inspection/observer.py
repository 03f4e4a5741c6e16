"""Observer: watches the layers while they run, and records every intermediate and its gradient.

Python can report each call and each return to a profiling function. So the layers and models need no code for this,
breakpoints still work, and what is recorded is what was really computed. The forward and the backward pass are matched by
the contract of the layers,

    y, cache = layer(x, ...)        dx, ... = layer_backward(dy, cache)

The cache that a layer returns is the one that its backward function is given: dy is then the gradient of y, and dx
that of x. The cache also tells where in the model a layer is, by the path that leads to it from the model's own
cache: blocks.0.attn is the self-attention of the first block.
"""
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

from npgpt.inspection.intermediates import Call, Intermediate, Summary, summarise

PACKAGE = Path(__file__).parent.parent
WATCHED = tuple(str(PACKAGE / room) for room in ("layers", "model", "tasks"))


class Observer:
    """The intermediates of all that runs while it watches, in the order in which they are made.

    excluded: arrays of which no part is an intermediate, such as the parameters. files: source files to watch besides
    npgpt's own. keep: hold the intermediates' arrays, and not only their statistics.
    """

    def __init__(self, excluded: Sequence[np.ndarray] = (), files: Sequence[str] = (), keep: bool = False) -> None:
        self.excluded, self.files, self.keep = excluded, (*WATCHED, *files), keep
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
        code = frame.f_code
        if not code.co_filename.startswith(self.files) or code.co_name.startswith("<"):
            return                                         # <genexpr> and the like count as part of their function
        if event == "call":
            self.begin(frame)
        elif event == "return" and self.running:
            self.end(self.running.pop(), result)

    def begin(self, frame: FrameType) -> None:
        """A function is called. By now its caller has computed what it passes: a layer's inputs, or dy."""
        caller = self.running[-1] if self.running else None
        arguments = dict(frame.f_locals)
        call = Call(frame, place(frame.f_code), arguments)
        given = list(arguments.values())
        call.layer = self.layers.get(id(given[1])) if len(given) > 1 else None
        if caller and caller.layer:
            self.look_at_gradients(caller)
        elif caller and call.layer and caller.composite:          # here the backward pass begins
            self.look(caller)
            caller.composite = False
        elif caller and is_layer(frame):
            caller.composite = True
            self.look(caller)
            call.inputs = [self.input(array, name, caller, call) for name, array in arguments.items() if is_array(array)]
        if call.layer and call.layer.result and call.layer.result.gradient is None:
            call.layer.result.gradient = self.summary(given[0])
        self.running.append(call)

    def end(self, call: Call, result: object) -> None:
        """A function returns. By now a layer has computed what it keeps, and a backward function all its gradients."""
        caller = self.running[-1] if self.running else None
        if call.layer:
            self.look_at_gradients(call)
            self.note_inputs(call, result)
        elif is_layer(call.frame) and isinstance(result, tuple):
            y, cache = result
            self.layers[id(cache)] = call
            self.look(call, None if call.composite else [array for array in cache if array is not y])
            call.result = call.find(y) or Intermediate(call.made_by)
            if not call.result.variable:
                call.result.result_of = call
            if caller:
                caller.known.append((y, call.result))
            if not caller or not is_layer(caller.frame):
                self.name_paths(call, cache)
        elif call.composite:
            self.look(call)
        call.frame, call.arguments, call.known = None, {}, []      # so that its arrays can be freed

    def look(self, call: Call, among: Sequence | None = None) -> None:
        """Note the arrays that a function has assigned to variables since the last look at it; of a leaf, among those that
        it keeps. Of several names for one array the last counts. A variable dx beside an x is a gradient.
        """
        variables = dict(call.frame.f_locals)
        found = {id(array): (name, array) for name, array in variables.items()
                 if self.is_intermediate(array) and not (name[0] == "d" and name[1:] in variables)}
        for argument in call.arguments.values():
            found.pop(id(argument), None)
        for name, array in found.values():
            if among is None or any(array is other for other in among):
                one = call.find(array)
                if one is None:
                    one = Intermediate(call.made_by)
                    call.known.append((array, one))
                if not one.variable:
                    self.note(one, name, call, array)

    def input(self, array: np.ndarray, name: str, caller: Call, layer: Call) -> Intermediate | None:
        """What a layer is given: something known, or made in the very line that calls the layer. None for what is no
        intermediate of its own, such as parameters and parts of the caller's arrays.
        """
        others = [other for other in caller.frame.f_locals.values() if isinstance(other, np.ndarray)]
        one = caller.find(array)
        if one or not self.is_intermediate(array) or any(is_part(array, other) for other in others):
            return one
        return self.note(Intermediate(caller.made_by), name, layer, array)

    def look_at_gradients(self, backward: Call) -> None:
        """Note the gradients of the arrays that a layer made itself: that of m is dm, if the backward function computes it.

        In a leaf the first look counts, because the memory may be used again. In a composite it is the last: where an
        array was used several times its gradient is a sum, which is complete when the function returns.
        """
        layer, variables = backward.layer, backward.frame.f_locals
        for one in self.intermediates:
            gradient = variables.get("d" + one.variable)
            made_here = one.owner is layer and one.result_of is None and one not in layer.inputs
            if made_here and is_array(gradient) and (layer.composite or one.gradient is None):
                one.gradient = self.summary(gradient)

    def note_inputs(self, backward: Call, result: object) -> None:
        """Note the gradients of a layer's inputs that no layer returned."""
        for one, gradient in zip(backward.layer.inputs, result if isinstance(result, tuple) else (result,)):
            if one and one.gradient is None and one.result_of is None:
                one.gradient = self.summary(gradient)

    def name_paths(self, outermost: Call, cache: tuple) -> None:
        for path, part in walk(cache):
            if id(part) in self.layers:
                self.layers[id(part)].path = path
        if not outermost.composite:
            outermost.path = outermost.made_by.split()[-1]

    def note(self, one: Intermediate, variable: str, owner: Call, array: np.ndarray) -> Intermediate:
        one.variable, one.owner, one.value = variable, owner, self.summary(array)
        self.intermediates.append(one)
        return one

    def summary(self, array: np.ndarray | float) -> Summary:
        return summarise(np.asarray(array), self.keep)

    def is_intermediate(self, value: object) -> bool:
        return is_array(value) and not any(np.may_share_memory(value, other) for other in self.excluded)


def place(code: CodeType) -> str:
    """File and function: layers/linear.py linear"""
    path = Path(code.co_filename)
    return f"{path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name} {code.co_name}"


def is_layer(frame: FrameType) -> bool:
    return frame.f_code.co_name + "_backward" in frame.f_globals


def is_part(array: np.ndarray, other: np.ndarray) -> bool:
    """Whether it is a slice of the other, or all of it. All of it in another shape, such as merged heads, is not a part."""
    return np.may_share_memory(array, other) and (array.size < other.size or array.shape == other.shape)


def is_array(value: object) -> bool:
    """Whether it is an array of floating-point numbers; token ids and masks are not."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def walk(cache: object, path: str = "") -> Iterator[tuple[str, tuple]]:
    """Every cache within a cache, with the path that leads to it."""
    yield path, cache
    inner = cache._asdict().items() if hasattr(cache, "_asdict") else enumerate(cache)
    for name, part in inner:
        if isinstance(part, (tuple, list)):
            yield from walk(part, f"{path}.{name}" if path else str(name))
