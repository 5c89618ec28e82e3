"""What the command line runs: configuration -> objects -> run."""
