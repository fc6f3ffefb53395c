"""Data sets: sources, loading, splits."""
