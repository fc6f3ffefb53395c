"""The run folder: places, journal, lock, requests to stop."""
