"""Data, splits and the training loop: what happens to one network."""
