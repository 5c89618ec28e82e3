"""Training methods: LightningModules that turn batches into named loss terms."""
