"""Arms: ways of choosing the size of a network."""
