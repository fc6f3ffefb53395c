"""What a finished job says: statistics, comparison, scan, summary."""
