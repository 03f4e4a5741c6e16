"""Prompt: a text is read in one pass, a long one in parts, on all the threads that BLAS has."""
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import numpy as np

from npgpt.generation.cached_gpt import cached_gpt
from npgpt.generation.kv_cache import KeyValueCache
from npgpt.generation.views import Views
from npgpt.machine.blas import blas_threads, find_blas_threads
from npgpt.machine.memory import keep_freed_scratch

PART = 128          # tokens: enough that a product takes longer than to lay out its weights


def read_prompt(ids: np.ndarray, views: Views, cache: KeyValueCache) -> np.ndarray:
    """Fill the first T columns of a cache for one text  ->  scores (V,) of what follows it

    ids (T,): as cached_gpt reads them all at once, but for rounding.

    One thread for each part has a core busy in every line, where BLAS's threads would share the matrix
    products alone; and what a part computes is small enough to stay in the processor's caches. A text that is
    too short to give every thread half a PART is read at once, and BLAS's threads share what they can.
    """
    switch = find_blas_threads() if len(ids) >= PART else None
    threads = switch.get() if switch else 1
    if threads == 1 or len(ids) < threads * PART // 2:
        return cached_gpt(ids[None], views, cache, 0)[0]
    keep_freed_scratch()
    parts = np.array_split(ids, threads * max(round(len(ids) / (threads * PART)), 1))
    with blas_threads(1), ThreadPoolExecutor(threads) as pool:
        return read_parts(parts, views, cache, pool)


def read_parts(parts: list[np.ndarray], views: Views, cache: KeyValueCache, pool: ThreadPoolExecutor) -> np.ndarray:
    """A part needs the keys and values of those before it: it enters a block when the part before has passed it.

    Only what the last part says is of interest, so the others do without a head.
    """
    reading, start = [], 0
    before = None                                 # counts the blocks that the part before has passed
    for part in parts:
        passed = Semaphore(0)
        head = views.head if part is parts[-1] else views.head[:0]
        reading.append(pool.submit(read_part, part, views._replace(head=head), cache, start, before, passed))
        before, start = passed, start + len(part)
    return [part.result() for part in reading][-1]


def read_part(ids: np.ndarray, views: Views, cache: KeyValueCache, start: int, before: Semaphore | None,
              passed: Semaphore) -> np.ndarray:
    try:
        return cached_gpt(ids[None], views._replace(blocks=in_turn(views.blocks, before, passed)), cache, start)[0]
    finally:
        passed.release(len(views.blocks))         # nobody waits for a part that has failed


def in_turn(blocks: list, before: Semaphore | None, passed: Semaphore) -> Iterator[list[np.ndarray]]:
    """The blocks, each when the part before has passed it."""
    for block in blocks:
        if before is not None:
            before.acquire()
        yield block
        passed.release()
