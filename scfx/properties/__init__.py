"""What is computed from a converged density, one file each."""
