"""Softmax cross-entropy: the loss of a model that predicts one class of V, such as the next token."""
import numpy as np

IGNORED = -100


def cross_entropy(logits: np.ndarray, targets: np.ndarray, ignored: int = IGNORED) -> tuple[np.ndarray, tuple]:
    """Mean of -ln softmax(logits)[target] over the targets that count, in nats.

    logits (..., V), targets (...,) integers in [0, V) or `ignored`  ->  loss ()

        loss = 1/N sum_r (ln sum_v exp z_rv - z_r,target)

    Each row's largest logit is subtracted first, so that exp cannot overflow. Where no target counts, the
    loss is 0. Raises ValueError for any other target.
    """
    V = logits.shape[-1]
    targets = targets.reshape(-1)                              # (R,)
    counted = np.flatnonzero(targets != ignored)               # (N,) rows
    chosen = targets[counted]                                  # (N,)
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < V:
        raise ValueError(f"targets must lie in [0, {V}) or be {ignored}, found {chosen.min()} to {chosen.max()}")
    N = max(len(counted), 1)
    rows = logits.reshape(-1, V)                               # (R, V)
    z = rows - rows.real.max(axis=-1, keepdims=True)
    z_target = z[counted, chosen]                              # (N,)
    exp = np.exp(z, out=z)                                     # (R, V)
    total = exp.sum(axis=-1)                                   # (R,)
    loss = (np.log(total[counted]) - z_target).sum() / N
    return loss, (exp, total, counted, chosen, N, logits.shape)


def cross_entropy_backward(dloss: np.ndarray | float, cache: tuple) -> np.ndarray:
    """dloss ()  ->  dlogits (..., V)

    The derivative of ln sum_w exp z_w with respect to z_v is exp z_v / sum_w exp z_w, the softmax; that of
    z_target is 1 where v is the target, else 0. Hence

        dz_r = dloss / N * (softmax(z_r) - onehot(target_r)),   0 for rows that do not count
    """
    exp, total, counted, chosen, N, shape = cache
    dmean = dloss / N
    scale = np.zeros_like(total)                               # (R,)
    scale[counted] = dmean / total[counted]
    dlogits = exp * scale[:, None]                             # (R, V)
    dlogits[counted, chosen] -= dmean
    return dlogits.reshape(shape)
