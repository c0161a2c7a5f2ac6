"""The libxc family through jax-xc's kernels, in JAX."""
