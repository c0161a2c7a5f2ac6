"""Geometries around those of a source: one file a method. docs/geometries.md describes them."""
