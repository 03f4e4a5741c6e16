"""The contract of a layer pair: pure, no shared memory, right shapes and dtypes, backward linear in dy."""
import copy
from collections.abc import Callable, Sequence

import numpy as np

from npgpt.model.parameters import named_leaves

Forward = Callable[..., tuple[np.ndarray, object]]
Backward = Callable[[np.ndarray, object], np.ndarray | tuple[np.ndarray, ...]]


def is_differentiable(argument: object) -> bool:
    """Whether it is an array of real or complex numbers; ids, masks and settings are not."""
    return isinstance(argument, np.ndarray) and argument.dtype.kind in "fc"


def cast(arguments: Sequence, dtype: type) -> list:
    """Copies of the arguments, those that are differentiable in this dtype."""
    return [a.astype(dtype) if is_differentiable(a) else a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def call(forward: Forward, arguments: Sequence, settings: dict) -> tuple[np.ndarray, object]:
    """forward(*arguments, **settings), with a copy of every random generator, so that each call draws the same."""
    def fresh(value: object) -> object:
        return copied(value) if isinstance(value, np.random.Generator) else value

    return forward(*map(fresh, arguments), **{name: fresh(value) for name, value in settings.items()})


def copied(rng: np.random.Generator) -> np.random.Generator:
    """A generator that draws the same; a third of copy.deepcopy's time."""
    bits = type(rng.bit_generator)(0)
    bits.state = rng.bit_generator.state
    return np.random.Generator(bits)


def call_backward(backward: Backward, dy: np.ndarray, cache: object) -> list[np.ndarray]:
    """All gradients in one list, whether backward returns one array, several, or groups of them."""
    return [gradient for _, gradient in named_leaves(backward(dy, cache))]


def contract_breaches(layer: str, forward: Forward, backward: Backward, arguments: Sequence, settings: dict,
                      rng: np.random.Generator, dtypes: Sequence[type]) -> list[str]:
    """How a pair breaks the contract in any of the dtypes, a sentence for each breach; empty if it keeps it."""
    breaches = []
    for dtype in dtypes:
        breaches += breaches_in(dtype, forward, backward, cast(arguments, dtype), settings, rng)
    return [f"{layer}: {breach}" for breach in dict.fromkeys(breaches)]


def breaches_in(dtype: type, forward: Forward, backward: Backward, arguments: list, settings: dict,
                rng: np.random.Generator) -> list[str]:
    """The breaches in one dtype. Backward runs twice on the same cache, then with two more upstream gradients."""
    breaches = []
    inputs = [a for a in arguments if is_differentiable(a)]
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    before = copy.deepcopy(arrays)
    y, cache = call(forward, arguments, settings)
    dy = np.asarray(rng.standard_normal(y.shape)).astype(dtype)
    dy_before = dy.copy()
    gradients = call_backward(backward, dy, cache)
    again = call_backward(backward, dy, cache)

    if not all(same(a, b) for a, b in zip(before, arrays)):
        breaches.append("forward or backward changes an argument")
    if not same(dy, dy_before):
        breaches.append("backward changes dy")
    if not all(same(a, b) for a, b in zip(gradients, again)):
        breaches.append("backward gives something else when it is called again: it changes its cache")
    if [g.shape for g in gradients] != [a.shape for a in inputs]:
        return breaches + [f"backward gives shapes {[g.shape for g in gradients]} for arguments {[a.shape for a in inputs]}"]
    if {y.dtype, *(g.dtype for g in gradients)} != {np.dtype(dtype)}:
        breaches.append(f"{np.dtype(dtype)} comes in, {', '.join(str(a.dtype) for a in (y, *gradients))} comes out")
    if shares_memory([y, *gradients], [*arrays, dy]):
        breaches.append("an output shares memory with an argument or with another output")

    other = np.asarray(rng.standard_normal(y.shape)).astype(dtype)
    sums = call_backward(backward, dy + 2 * other, cache)
    parts = call_backward(backward, other, cache)
    # The tolerance allows for rounding of long sums; what is not linear differs by far more.
    size = max(np.abs(g).max(initial=0) for g in (*gradients, *parts, dy))
    if any(np.abs(total - one - 2 * two).max(initial=0) > 1e4 * np.finfo(dtype).eps * size
           for total, one, two in zip(sums, gradients, parts)):
        breaches.append("backward is not linear in dy")
    return breaches


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def shares_memory(outputs: list[np.ndarray], arguments: list[np.ndarray]) -> bool:
    return any(np.may_share_memory(a, b) for i, a in enumerate(outputs) for b in outputs[:i] + arguments)
