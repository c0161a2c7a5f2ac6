"""What is computed: molecules, basis sets, batches, and the ways that people write them. Data only."""
