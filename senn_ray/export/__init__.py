"""Models that need torch only."""
