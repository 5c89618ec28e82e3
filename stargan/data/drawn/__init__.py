"""Embedded data: faces and digits that are drawn on first use."""
