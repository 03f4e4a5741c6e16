"""Byte pair encoding of one word: adjacent tokens are merged into longer ones, by a list of merges."""
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

CACHED_WORDS, LONGEST_CACHED = 100_000, 40              # words, characters: at most about 30 MB


def merged(ids: Sequence[int], ranks: Mapping[tuple[int, int], int], products: Sequence[int]) -> list[int]:
    """The ids of a word after all merges. ranks gives the place of a pair of ids in the list of merges, and
    products[rank] is the id of the token that the merge makes.

    Of all adjacent pairs that can be merged, the earliest in the list of merges is next; of equal pairs, the leftmost.

    A heap holds the possible merges by rank and position, so that n ids take O(n log n) steps instead of O(n²).
    Merges change neighbouring pairs, whose entries stay in the heap: an outdated entry is skipped when popped,
    because its rank differs from that of the present pair.
    """
    ids, n = list(ids), len(ids)
    rank_of = ranks.get
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))          # a linked list of the tokens; n ends it
    heap = [rank * n + i for i, pair in enumerate(zip(ids, ids[1:])) if (rank := rank_of(pair)) is not None]
    heapify(heap)
    while heap:
        rank, i = divmod(heappop(heap), n)
        j = after[i]
        if j == n or rank_of((ids[i], ids[j])) != rank:
            continue
        ids[i], ids[j] = products[rank], None
        h, k = before[i], after[j]
        after[i] = k
        if k < n:
            before[k] = i
            if (rank := rank_of((ids[i], ids[k]))) is not None:
                heappush(heap, rank * n + i)
        if h >= 0 and (rank := rank_of((ids[h], ids[i]))) is not None:
            heappush(heap, rank * n + h)
    return [i for i in ids if i is not None]


class WordCache(dict):
    """The ids of words that were encoded before. It is cleared when full, and does not store long words."""

    def __init__(self, ids_of: Callable[[str], list[int]]) -> None:
        self.ids_of = ids_of

    def __missing__(self, word: str) -> list[int]:
        ids = self.ids_of(word)
        if len(word) <= LONGEST_CACHED:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids
