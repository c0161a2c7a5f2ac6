"""The IPU backend: Rys-quadrature codelets driven through Poplar (docs/ipu.md)."""
