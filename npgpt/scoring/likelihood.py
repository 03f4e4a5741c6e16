"""The likelihood of continuations: how probable a model finds a text after another one, as EleutherAI's
lm-evaluation-harness computes it.
"""
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.generation.generate import NOT_FINITE, default_prompt
from npgpt.generation.sampling import log_probabilities
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters
from npgpt.model.heads import language_model_head, language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups
from npgpt.parallel.blas import blas_threads, find_blas_threads
from npgpt.parallel.threads import together
from npgpt.scoring.token_tree import TokenTree, trees
from npgpt.text.tokenizer import Tokenizer

TREE_SIZE = 512             # nodes: enough for large matrix products
LOGIT_ROWS = 64             # so many rows of logits are computed at once, because with a large vocabulary they are large


class Continuation(NamedTuple):
    """A text as token ids, which follows another one."""
    context: list[int]                          # at least one token
    ids: list[int]                              # those whose likelihood is asked for, at least one
    cut: int = 0                                # how many tokens of the context, at its left, did not fit


class Likelihood(NamedTuple):
    log_probability: float                      # of the whole continuation: the sum over its tokens, in nats
    tokens: int
    greedy: bool                                # whether each token is the likeliest one after those before it


def continuation(context: str, text: str, tokenizer: Tokenizer, config: GPTConfig) -> Continuation:
    """The tokens of a text after a context. Spaces at the end of the context belong to the continuation, because most
    tokenizers have tokens that begin with a space. Both are encoded together, and the continuation is what lies beyond the
    tokens of the context alone. Of a context that does not fit, the beginning is cut off. An empty one is replaced by the
    token that texts begin with.

    Raises InputError if the text is empty, has no tokens of its own, or does not fit the model's context alone.
    """
    stripped = context.rstrip()
    text = context[len(stripped):] + text
    if not text.strip():
        raise InputError("a continuation is empty")
    if stripped:
        before = tokenizer.encode(stripped).tolist()
        ids = tokenizer.encode(stripped + text).tolist()[len(before):]
    else:
        before, ids = [first_token(config, tokenizer)], tokenizer.encode(text).tolist()
        if ids[:1] == before:
            ids = ids[1:]
    if not ids or not before:
        raise InputError(f"{text!r} has no tokens of its own after {stripped[-20:]!r}")
    if len(ids) > config.n_positions:
        raise InputError(f"{text[:40]!r} has {len(ids):,} tokens, more than the model's context of {config.n_positions:,}")
    room = config.n_positions + 1 - len(ids)                   # the last token is predicted only
    return Continuation(before[-room:], ids, max(len(before) - room, 0))


def first_token(config: GPTConfig, tokenizer: Tokenizer) -> int:
    """The token that stands for an empty context: bos_token_id, else eos_token_id, else as in generation."""
    return default_prompt(config, tokenizer)[0] if config.bos_token_id is None else config.bos_token_id


def likelihoods(model: Model, continuations: Sequence[Continuation], report: Callable[[int], object] = lambda done: None,
                tree_size: int = TREE_SIZE) -> list[Likelihood]:
    """The likelihood of each continuation, in order. What several of them have in common at their beginnings is computed
    once, and those of the same tree in one forward pass.

    report: called now and then with the number of continuations done. Raises InputError for logits that are NaN or infinite.
    """
    p = groups(model.parameters, language_model_table(model.config))
    order = sorted(range(len(continuations)), key=lambda i: continuations[i].context + continuations[i].ids)
    targets = (continuations[i].ids for i in order)
    waiting = trees([(continuations[i].context + continuations[i].ids)[:-1] for i in order], tree_size)
    found: list[Likelihood] = []
    switch = find_blas_threads()
    threads = switch.get() if switch else 1
    with ThreadPoolExecutor(threads) as pool, blas_threads(1):
        while some := [*itertools.islice(waiting, threads)]:           # a tree for each thread
            calls = [(tree, paths, [*itertools.islice(targets, len(paths))], p, model.config) for tree, paths in some]
            for result in together(pool, tree_likelihoods, calls):
                found += result
            report(len(found))
    if not np.isfinite([one.log_probability for one in found]).all():
        raise InputError(NOT_FINITE)
    return [one for _, one in sorted(zip(order, found))]


def tree_likelihoods(tree: TokenTree, paths: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], p: GPTParameters,
                     config: GPTConfig) -> list[Likelihood]:
    """The likelihood of each sequence's last tokens: the last node of its path predicts the last of its targets."""
    x = tree.hidden_states(p, config)
    nodes = np.concatenate([path[-len(ids):] for path, ids in zip(paths, targets)])
    ids = np.concatenate(targets)
    log_probability, greedy = zip(*token_likelihoods(x[nodes], ids, language_model_head(p)))
    sums, all_greedy = np.concatenate(log_probability), np.concatenate(greedy)
    starts = np.cumsum([0] + [len(one) for one in targets[:-1]])
    return [Likelihood(float(total), len(one), bool(greedy)) for total, greedy, one in
            zip(np.add.reduceat(sums, starts), np.logical_and.reduceat(all_greedy, starts), targets)]


def token_likelihoods(x: np.ndarray, targets: np.ndarray, w: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """x (R, C), targets (R,), w (V, C)  ->  of some rows at a time, the target's log-probability, and whether it is the
    likeliest token
    """
    for start in range(0, len(x), LOGIT_ROWS):
        rows = slice(start, start + LOGIT_ROWS)
        logits = x[rows] @ w.T                                 # (rows, V)
        chosen = targets[rows, None]
        yield np.take_along_axis(log_probabilities(logits), chosen, axis=1)[:, 0], logits.argmax(axis=1) == chosen[:, 0]
