"""One training run, from specification to record."""
