"""From a density matrix to Coulomb and exchange matrices."""
