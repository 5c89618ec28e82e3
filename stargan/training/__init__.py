"""Training: one engine that runs the phases of any method."""
