"""The energy functional E[D; R] as a sum of terms, and the Hamiltonian that builds, budgets and sums them."""
