"""Judges: classifiers that look at what others made, and where they look."""
