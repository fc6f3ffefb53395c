"""Settings of earlier versions: refused when given, dropped when an old job is read."""

from collections.abc import Mapping
from typing import Any

REMOVED = {
    "cluster.batch_seeds": "every run has a worker of its own now",
    "train.decay_range": "weight decay follows the validation loss by itself, up and "
    "down; train.weight_decay NUMBER holds it fixed",
}
"""What replaces a setting that is gone, by its key."""


def without_removed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the settings that are gone from those of an old job, by section."""
    return {
        section: {
            name: value
            for name, value in part.items()
            if f"{section}.{name}" not in REMOVED
        }
        if isinstance(part, Mapping)
        else part
        for section, part in values.items()
    }
