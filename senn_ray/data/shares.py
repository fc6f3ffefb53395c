"""Shares of the classes: whether validation examples are like the training ones."""

import torch


def share_gap(train_y: torch.Tensor, val_y: torch.Tensor) -> float | None:
    """Return the total variation between the class shares of two parts.

    It is the least share of one part that would have to change its class for both to
    have the same shares: 0 if they are alike, 1 if they have no class in common.

    Args:
        train_y: Classes [n]; targets [n, m] have no classes.
        val_y: Classes [m].
    """
    if train_y.is_floating_point() or not len(train_y) or not len(val_y):
        return None
    most = int(max(train_y.max(), val_y.max())) + 1
    shares = [
        torch.bincount(labels, minlength=most).double() / len(labels)
        for labels in (train_y, val_y)
    ]
    return float((shares[0] - shares[1]).abs().sum() / 2)
