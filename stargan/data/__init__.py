"""Data sets with label spaces, and the one data module that turns them into batches."""
