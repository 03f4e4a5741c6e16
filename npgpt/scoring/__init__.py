"""Scoring: how good predictions are, measured against what is right. Pure functions, equal to the usual packages."""
