"""Dispersion corrections: D3(BJ) and D4 through the kept libraries."""
