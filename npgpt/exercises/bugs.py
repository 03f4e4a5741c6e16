"""A GPT with one mistake in its backward pass, for the reader to find by the gradients that are wrong.

    print(broken_gradients("bug-1"))      each gradient of the broken GPT beside the numerical one
"""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from npgpt.checking.catalogue import check_variant
from npgpt.checking.report import Report
from npgpt.errors import InputError
from npgpt.exercises.exercise import changed
from npgpt.exercises.learner import Unfinished, definitions
from npgpt.layers.attention import attention_backward
from npgpt.layers.cross_entropy import cross_entropy_backward
from npgpt.layers.embedding import embedding_backward_rows
from npgpt.layers.feed_forward import feed_forward_backward
from npgpt.layers.layer_norm import layer_norm_backward
from npgpt.layers.linear import linear_backward
from npgpt.model.block import block_backward
from npgpt.model.gpt import gpt_backward
from npgpt.tasks.language_modelling import LanguageModelling


class Bug(NamedTuple):
    """One function of a GPT with one change, and how it can be found."""
    function: Callable
    right: str
    wrong: str
    hints: tuple[str, ...]
    solution: str
    same: tuple[str, ...] = ()                  # other functions in which a mistake would give the same gradients


BUGS = {
    "bug-1": Bug(
        linear_backward, "dy.sum(axis=0, out=db)", "dy.mean(axis=0, out=db)",
        ("What do the names of all wrong gradients have in common? Which of the names with `bias` or `b_` are right?",
         "A gradient that is wrong in one place and right before it, in the backward pass, does no harm to others: "
         "nothing is computed from it. Which function makes all of these, and no other?"),
        "Only the biases of linear layers are wrong, all by the same factor, the number of rows: db is a mean, not a sum."),
    "bug-2": Bug(
        gpt_backward, "dx.sum(axis=0)", "dx[-1]",
        ("Exactly one gradient is wrong. Is it made at the beginning or at the end of the backward pass?",
         "All sequences of the batch have the same positions. What follows for the gradient of a position?"),
        "Only wpe is wrong: all sequences use the same positions, whose gradients must be added up. Only the last "
        "sequence's were used."),
    "bug-3": Bug(
        feed_forward_backward, "dh = activate_backward(da, cache.activation)", "dh = da",
        ("The backward pass goes from the last layer to the first. Which is the first wrong gradient on this way?",
         "In the last block, w_down is right and w_up is wrong. What lies between these two?"),
        "In the last block, the gradients of w_down and b_down are right, those of w_up and b_up and everything before them "
        "wrong: the backward pass of the nonlinearity between them was left out.",
        same=("gelu_backward",)),
    "bug-4": Bug(
        block_backward, "    dx += dm\n", "",
        ("Which blocks have wrong gradients, and which have none?",
         "All gradients of the last block are right, and all before it are wrong: the last block passes on a wrong dx. Its "
         "ln_1 is right. What else is added to dx?"),
        "All parameters of the last block are right, but its dx is wrong: the gradient of the residual stream was not added "
        "at its beginning."),
    "bug-5": Bug(
        layer_norm_backward, "    dx -= xhat * along_xhat\n", "",
        ("The backward pass goes from the last layer to the first. What are the last parameters that are right?",
         "ln_f's gain and bias are right. b_down of the last block is wrong, and it is only a sum of the gradient that the "
         "block is given. Which function returned that?"),
        "Only ln_f's own parameters are right, and everything before them is wrong: the gradient of layer norm's input "
        "lacks a term."),
    "bug-6": Bug(
        attention_backward, "dq = dscaled_q * (1 / math.sqrt(k.shape[-1]))", "dq = dscaled_q",
        ("The backward pass goes from the last layer to the first. Which is the first wrong gradient on this way?",
         "In the last block, w_proj is right and w_qkv is wrong. Are all columns of b_qkv wrong? "
         "`broken_gradients(...).comparisons` has the arrays: analytic, and numeric by method.",
         "The columns of b_qkv are those of the first head's q, k and v, then those of the second's."),
        "Of b_qkv, only the entries of the queries are wrong, by the factor sqrt(D): dq lacks the scale of the scores.",
        same=("causal_attention_backward",)),
    "bug-7": Bug(
        LanguageModelling.loss_and_gradients, "g.wte[ids_read] += drows", "g.wte[ids_read] = drows",
        ("Exactly one gradient is wrong. How often is this parameter used?",
         "wte is used twice: as the embedding, and as the head. Which of its rows are wrong? "
         "`broken_gradients(...).comparisons` has the arrays: analytic, and numeric by method.",
         "The rows of the tokens that were read are wrong, all others right. Where are the two uses put together?"),
        "wte is the embedding and the head, so that two gradients add up. One replaced the other in the rows of the ids "
        "that were read."),
    "bug-8": Bug(
        embedding_backward_rows, "np.add.reduceat(dy[order], starts, axis=0)", "dy[order][starts]",
        ("Exactly one gradient is wrong, as in bug-7. But it is not the same mistake: in which rows is it?",
         "Only some of the rows of the tokens that were read are wrong. How often does each of these tokens occur?"),
        "Only the rows of tokens that occur more than once are wrong: their gradients must be added up.",
        same=("embedding_backward",)),
    "bug-9": Bug(
        cross_entropy_backward, "dlosses = dloss * weight", "dlosses = dloss / len(total)",
        ("All gradients are wrong. Are they wrong in the same way?",
         "All are wrong by the same factor. The backward pass is linear: where does a factor act on everything?",
         "The factor is a fraction of two small numbers. How many targets does the batch have, and how many count?"),
        "Everything is wrong by 20/18: the loss is a mean over the 18 targets that count; the gradient was divided by 20.",
        same=("loss_and_gradients",)),
}

PAGE = '''"""Exercise {name}: one function in the backward pass of a GPT has a mistake. Which function is it?

Run this file: it shows every gradient of the broken GPT beside the numerical one. Then write the function's name below.

    npgpt exercise --check {file}     says whether it is this function
    npgpt exercise --hint {file}      gives a hint; once more, the next one
"""
from npgpt.exercises.bugs import broken_gradients

ANSWER = ""     # such as "gelu_backward"

if __name__ == "__main__":
    print(broken_gradients("{name}"))
'''


def bug_file(name: str, file: str) -> str:
    """The text of the file, which does not say where the mistake is."""
    return PAGE.format(name=name, file=file)


def bug_answer(name: str, path: Path) -> tuple[bool, list[str]]:
    """Check the learner's answer  ->  whether it is right, and the lines to print."""
    bug = BUGS[name]
    try:
        found = definitions(path).get("ANSWER")
    except Unfinished as unfinished:
        return False, str(unfinished).splitlines()
    if not isinstance(found, str) or not found.strip():
        return False, [f"{path}: ANSWER is still to be written: the name of a function, in quotation marks"]
    found = found.strip().removesuffix("()").rpartition(".")[2]
    if found == bug.function.__name__ or found in bug.same:
        return True, []
    return False, [f"The mistake is not in {found}."]


def bug_solution(name: str) -> str:
    """What the mistake is, as a change to npgpt's source."""
    bug = BUGS[name]
    change = [f"-{line}" for line in bug.right.splitlines()] + [f"+{line}" for line in bug.wrong.splitlines()]
    return "\n".join([f"{bug.function.__name__}: {bug.solution}", "", *change])


@contextmanager
def broken(bug: Bug) -> Iterator[None]:
    """While the context lasts, the function computes the wrong gradient, wherever it has been imported."""
    code = bug.function.__code__
    bug.function.__code__ = changed(bug.function, bug.right, bug.wrong).__code__
    try:
        yield
    finally:
        bug.function.__code__ = code


def broken_gradients(name: str) -> Report:
    """Every gradient of a small GPT that has the mistake, beside the numerical one. Raises InputError for any other name."""
    if name not in BUGS:
        raise InputError(f"no mistake is called {name!r}; there are {', '.join(BUGS)}")
    with broken(BUGS[name]):
        return check_variant("gpt", ("complex",))
