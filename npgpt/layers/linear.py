"""Linear layer: every row of x is multiplied by the same matrix."""
import numpy as np


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> tuple[np.ndarray, tuple]:
    """y = x w + b, with weights (in, out).

    x (..., I), w (I, O), b (O,) or None for no bias  ->  y (..., O)

    The leading axes are flattened, because NumPy computes x @ w as one small product for each leading
    index, and a single large one is faster.
    """
    rows = x.reshape(-1, x.shape[-1])             # (R, I)
    y = rows @ w                                  # (R, O)
    if b is not None:
        y += b
    return y.reshape(*x.shape[:-1], w.shape[1]), (x, w, b is not None)


def linear_backward(dy: np.ndarray, cache: tuple,
                    out: tuple = (None, None)) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """dy (..., O)  ->  dx (..., I), dw (I, O), db (O,) or None

    Entry by entry, y_ro = sum_i x_ri w_io + b_o. Each x_ri affects only row r of y; each w_io and b_o affects
    every row, so their gradients are sums over the rows:

        dx = dy w^T        dw = x^T dy        db = sum of dy's rows
    """
    x, w, has_bias = cache
    dw, db = out
    rows = x.reshape(-1, x.shape[-1])             # (R, I)
    dy = dy.reshape(-1, dy.shape[-1])             # (R, O)
    db = dy.sum(axis=0, out=db) if has_bias else None      # (O,)
    dw = np.matmul(rows.T, dy, out=dw)            # (I, O)
    dx = dy @ w.T                                 # (R, I)
    return dx.reshape(x.shape), dw, db
