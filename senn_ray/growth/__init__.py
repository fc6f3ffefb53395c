"""Growth checks: measurement, candidates, judging, surgery, pruning."""
