"""The exchange-correlation energy of a density matrix by quadrature."""
