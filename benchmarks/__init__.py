"""Benchmarks: how fast npgpt is on this machine, and how near that comes to what the machine can do.

Run them with `python -m benchmarks`. The reading order: shapes (what is measured), timing (how),
machine and roofline (against what), then a file for each benchmark: layers, train, generate, scaling,
versus_torch. Nothing but npgpt, NumPy and Python's own library is imported; torch only by torch_peer,
in a process of its own.
"""
