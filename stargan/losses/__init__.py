"""Losses: pure functions that return raw, unweighted terms; each cites its equation."""
