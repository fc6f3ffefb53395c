"""Settings of earlier versions: refused when given, dropped when an old job is read."""

from collections.abc import Mapping
from typing import Any

REMOVED = {
    "cluster.batch_seeds": "every run has a worker of its own now",
    "train.decay_range": "weight decay follows the validation loss by itself, up and "
    "down; train.weight_decay NUMBER holds it fixed",
    "growth.exploration": "no price per neuron ends growth; choose on the front "
    "(front.choose, pick)",
    "growth.removal_threshold": "the network is walked down a ladder of sizes; choose on "
    "the front (front.ratio, front.choose, pick)",
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
