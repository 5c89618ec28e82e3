"""What happens beside the steps: logs, samples, checkpoints, monitors."""
