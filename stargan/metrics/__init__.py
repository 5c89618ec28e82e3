"""Figures of merit: pure functions and small running states; no trainer, no data sets."""
