"""The parts of ``scripts/bench_gang``."""
