"""Benchmarks: how fast npgpt is on this machine, and how close that is to the most the machine can do.

Run them with `python -m benchmarks`. The reading order: shapes (what is measured), timing (how), machine and roofline
(compared with what), then a file for each benchmark: layers, train, generate, scaling, attention_band, versus_torch. Only
npgpt, NumPy and the standard library are imported; torch only by torch_peer, in a process of its own.
"""
