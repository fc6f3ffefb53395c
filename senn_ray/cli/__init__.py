"""The command line: verbs, settings, progress, results."""
