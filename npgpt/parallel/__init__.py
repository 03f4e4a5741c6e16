"""Parallel: a batch, a layer or an update on several threads; the threads of BLAS; memory."""
