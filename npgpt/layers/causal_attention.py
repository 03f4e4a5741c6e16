"""Causal and banded attention in tiles of queries: equal to attention(causal=True) without most of what the mask removes."""
import numpy as np

from npgpt.layers.attention import AttentionCache, attention, attention_backward

QUERY_TILE = 64     # queries computed together; at T = 256, five eighths of the work remain


def causal_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, window: int | None = None,
                     p: float = 0.0, rng: np.random.Generator | None = None,
                     ) -> tuple[np.ndarray, tuple[AttentionCache, ...]]:
    """q (..., T, D), k (..., S, D), v (..., S, E)  ->  y (..., T, E), and a cache for each tile of queries

    The queries are the last T of S positions (S >= T). Each sees its own position and those before it; with a window W,
    the last W of them ("local" attention, Child et al. 2019, section 4.2; GPT-3). A tile of queries attends to the keys
    from the first that any of them sees to its own last position. Hence the work grows with T S, or with T W.
    mask, broadcastable to (..., T, S): False hides further keys. Raises ValueError as attention.
    """
    T, S = q.shape[-2], k.shape[-2]
    ys, caches = [], []
    for start in range(0, T, QUERY_TILE):
        queries = slice(start, min(start + QUERY_TILE, T))
        keys = slice(first_key(start, S - T, window), S - T + queries.stop)
        tile_mask = None if mask is None else np.broadcast_to(mask, (*mask.shape[:-2], T, S))[..., queries, keys]
        y, cache = attention(q[..., queries, :], k[..., keys, :], v[..., keys, :], tile_mask, True, window, p, rng)
        ys.append(y)
        caches.append(cache)
    return np.concatenate(ys, axis=-2), tuple(caches)


def causal_attention_backward(dy: np.ndarray,
                              caches: tuple[AttentionCache, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dy (..., T, E)  ->  dq (..., T, D), dk (..., S, D), dv (..., S, E)

    A key is seen by its own tile of queries and by later ones; their gradients add up. Without a window the last
    tile sees every key, so backward begins with it.
    """
    T, first = dy.shape[-2], caches[0]
    past = first.k.shape[-2] - first.scaled_q.shape[-2]            # S - T: the first tile has all keys from 0 on
    dqs, stop = [], T
    for cache in reversed(caches):
        start = stop - cache.scaled_q.shape[-2]
        keys = slice(past + stop - cache.k.shape[-2], past + stop)
        dq, dk_tile, dv_tile = attention_backward(dy[..., start:stop, :], cache)
        dqs.insert(0, dq)
        if stop == T:
            dk, dv = zeros_before(dk_tile, past + T), zeros_before(dv_tile, past + T)
        else:
            dk[..., keys, :] += dk_tile
            dv[..., keys, :] += dv_tile
        stop = start
    return np.concatenate(dqs, axis=-2), dk, dv


def first_key(start: int, past: int, window: int | None) -> int:
    """The first key that a tile of queries attends to. The first tile has all keys from 0 on: each has a gradient."""
    return 0 if start == 0 or window is None else max(past + start + 1 - window, 0)


def zeros_before(tile: np.ndarray, S: int) -> np.ndarray:
    """(..., s, D)  ->  (..., S, D): the rows of the tile are the last ones"""
    s = tile.shape[-2]
    if s == S:
        return tile
    whole = np.zeros((*tile.shape[:-2], S, tile.shape[-1]), tile.dtype)
    whole[..., -s:, :] = tile
    return whole
