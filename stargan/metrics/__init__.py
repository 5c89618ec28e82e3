"""Pure maths and small running states; no trainer."""
