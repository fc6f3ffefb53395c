"""Self-expanding neural networks as a Ray-based architecture-search service."""
