"""Layers: each a pair of pure functions, forward directly above backward.

    y, cache         = layer(x, *parameters, **settings)
    dx, *dparameters = layer_backward(dy, cache, out)

Backward returns one gradient for each differentiable argument of forward, in the same order; if there is
only one, it returns that array itself. `out` is optional, as in NumPy's functions: arrays, in the order of
the parameters, to write the parameters' gradients into.

Neither function changes its other arguments; no output shares memory with an argument (except `out`) or
with another output. Every result has the dtype of the input, complex128 included. No state is kept
between calls: what backward needs is in the cache, which the caller holds.

In shapes, B is the batch, T time (tokens), S keys, C channels, H heads, D = C / H, V the vocabulary, and
... any leading axes; flattened into one, they are R rows. dz is the gradient of the loss with respect to
z, and has its shape. In equations, 1[i = j] is 1 for i = j, else 0.
"""
