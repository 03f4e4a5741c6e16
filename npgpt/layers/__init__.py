"""Layers: each a pair of pure functions, forward directly above backward.

    y, cache        = layer(x, *parameters, **settings)
    dx, *dparameters = layer_backward(dy, cache)

Backward gives one gradient for each differentiable argument of forward, in the same order; where there
is one only, it gives that array itself. Neither changes its arguments; no output shares memory with an
argument or with another output; every result has the dtype that came in, complex128 included. Nothing
is remembered between calls but in the cache that the caller holds.
"""
