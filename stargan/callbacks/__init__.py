"""What happens beside training: terms, progress, samples, checkpoints."""
