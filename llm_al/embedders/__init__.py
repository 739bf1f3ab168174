"""Texts to unit-length vectors, once, and kept on disk."""
