"""Softmax cross-entropy: the loss of a model that predicts one class of V, such as the next token."""
import numpy as np

IGNORED = -100


def cross_entropy(logits: np.ndarray, targets: np.ndarray, ignored: int = IGNORED, weights: np.ndarray | None = None,
                  smoothing: float = 0.0) -> tuple[np.ndarray, tuple]:
    """Mean of -ln softmax(logits)[target] over the targets that count, in nats.

    logits (..., V), targets (...,) integers in [0, V) or `ignored`  ->  loss ()

        loss = 1/N sum_r (ln sum_v exp z_rv - z_r,target)

    Each row's largest logit is subtracted first, so that exp cannot overflow. Where no target counts, the
    loss is 0. Raises ValueError for any other target.

    weights, broadcastable to (...,), not differentiated: a weight for each target in the place of 1/N.
    smoothing: label smoothing (Szegedy et al. 2016, section 7). The probability of the target to be learnt is
    not 1 but 1 - smoothing, and the rest is divided equally among all V classes; z_target becomes

        (1 - smoothing) z_target + smoothing/V sum_v z_v
    """
    V = logits.shape[-1]
    if weights is not None:
        weights = np.broadcast_to(weights, targets.shape).reshape(-1)
    targets = targets.reshape(-1)                              # (R,)
    counted = np.flatnonzero(targets != ignored)               # (N,) rows
    chosen = targets[counted]                                  # (N,)
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < V:
        raise ValueError(f"targets must lie in [0, {V}) or be {ignored}, found {chosen.min()} to {chosen.max()}")
    weight = 1 / max(len(counted), 1) if weights is None else weights[counted]
    rows = logits.reshape(-1, V)                               # (R, V)
    z = rows - rows.real.max(axis=-1, keepdims=True)
    z_target = z[counted, chosen]                              # (N,)
    if smoothing:
        z_target = (1 - smoothing) * z_target + smoothing * z.mean(axis=-1)[counted]
    exp = np.exp(z, out=z)                                     # (R, V)
    total = exp.sum(axis=-1)                                   # (R,)
    losses = np.log(total[counted])
    losses -= z_target
    losses *= weight                                           # in place, so that weights in float64 change no dtype
    return losses.sum(), (exp, total, counted, chosen, weight, smoothing, logits.shape)


def cross_entropy_backward(dloss: np.ndarray | float, cache: tuple) -> np.ndarray:
    """dloss ()  ->  dlogits (..., V)

    The derivative of ln sum_w exp z_w with respect to z_v is exp z_v / sum_w exp z_w, the softmax; that of
    z_target is 1 where v is the target, else 0. Hence

        dz_r = dloss / N * (softmax(z_r) - onehot(target_r)),   0 for rows that do not count

    With weights, weight_r is in the place of 1/N; with smoothing, the onehot vector becomes
    (1 - smoothing) onehot(target_r) + smoothing/V.
    """
    exp, total, counted, chosen, weight, smoothing, shape = cache
    dlosses = dloss * weight                                   # (N,), or one number for all
    scale = np.zeros_like(total)                               # (R,)
    scale[counted] = dlosses / total[counted]
    dlogits = exp * scale[:, None]                             # (R, V)
    if smoothing:
        share = np.zeros_like(total)                           # (R,)
        share[counted] = dlosses * (smoothing / shape[-1])
        dlogits -= share[:, None]
    dlogits[counted, chosen] -= dlosses * (1 - smoothing)
    return dlogits.reshape(shape)
