"""Token trees: several token sequences, which share their beginnings, in one forward pass.

A node stands for a token after those of its ancestors. It attends to them and to itself, and its position is their number.
So every beginning that sequences have in common, such as that of a question with several answers, is computed once. This is
what a key-value cache does for a text that goes on, in a single pass for all its continuations.
"""
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.pattern import Pattern
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, attention_windows, gpt


class TokenTree:
    """The nodes are in the order in which they were added, so that each comes after its ancestors."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.parents: list[int] = []            # -1 for those without one
        self.depths: list[int] = []             # how many ancestors each has
        self.children: dict[tuple[int, int], int] = {}         # node and token -> node

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, sequence: Iterable[int]) -> list[int]:
        """Add the tokens of a sequence that are missing  ->  the nodes of all of them"""
        node, path = -1, []
        for depth, token in enumerate(sequence):
            parent, node = node, self.children.setdefault((node, token), len(self))
            if node == len(self):
                self.ids.append(token)
                self.parents.append(parent)
                self.depths.append(depth)
            path.append(node)
        return path

    def hidden_states(self, p: GPTParameters, config: GPTConfig) -> np.ndarray:
        """(N, C): what the body of a GPT computes for each node."""
        seen = self.ancestors()
        depths = np.array(self.depths)
        distance = depths[:, None] - depths                    # (N, N)
        masks = [seen if window is None else seen & (distance < window) for window in attention_windows(config)]
        patterns = [Pattern(partial(causal_attention, mask=mask), causal_attention_backward) for mask in masks]
        x, _ = gpt(np.array(self.ids)[None], p, config, positions=depths, patterns=patterns, keep=False)
        return x[0]

    def ancestors(self) -> np.ndarray:
        """(N, N): True where row n has a column of an ancestor of node n, or of n itself."""
        seen = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def trees(sequences: Sequence[Sequence[int]], size: int) -> Iterator[tuple[TokenTree, list[list[int]]]]:
    """Sorted sequences, divided among trees of about `size` nodes  ->  each tree, and the nodes of each of its sequences

    A sequence that shares most of its tokens with the one before is put into the same tree, up to twice the size.
    """
    tree, paths, last = TokenTree(), [], ()
    for sequence in sequences:
        shared = common(last, sequence)
        if tree and len(tree) + len(sequence) - shared > (2 * size if 2 * shared > len(sequence) else size):
            yield tree, paths
            tree, paths = TokenTree(), []
        paths.append(tree.add(sequence))
        last = sequence
    if tree:
        yield tree, paths


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginnings."""
    return next((n for n, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
