"""The commands of the `scfx` command line, one a file. Heavy imports are inside the callbacks."""
