"""Layers: each a pair of pure functions, forward directly above backward.

    y, cache        = layer(x, *parameters, **settings)
    dx, *dparameters = layer_backward(dy, cache)

Backward gives one gradient for each differentiable argument of forward, in the same order; where there
is one only, it gives that array itself. Neither changes its arguments; no output shares memory with an
argument or with another output, but where the caller gives an array to write into; every result has the
dtype that came in, complex128 included. Nothing is remembered between calls but in the cache that the
caller holds.

In shapes, B is the batch, T time (tokens), S keys, C channels, H heads, D = C / H, V the vocabulary, and
... any leading axes; laid into one, they are R rows. dz is the gradient of the loss by z, and has its shape.
In equations, 1[i = j] is 1 for i = j, else 0.
"""
