"""Runs: what training leaves on the disk, and continues from."""
