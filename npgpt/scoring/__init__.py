"""Scoring: how good predictions are, measured against what is right. Pure functions, each equal to its usual implementation."""
