"""The libxc family through the libxc that PySCF ships, on the host."""
