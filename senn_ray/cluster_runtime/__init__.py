"""Ray: the only room that imports it. Without it, runs still work in one process."""
