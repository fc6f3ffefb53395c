"""A front that was made up: sizes, losses, and how far they are above the best."""

from dataclasses import replace

from senn_ray.core.records import Rung, RunRecord
from tests.search.executor_suite import make_record, make_spec

# Hidden units, validation loss, gap to the best, its standard error.
SIZES = (
    (64, 0.105, 0.005, 0.002),
    (45, 0.100, 0.0, 0.0),
    (32, 0.102, 0.002, 0.003),
    (16, 0.120, 0.02, 0.004),
    (8, 0.200, 0.1, 0.01),
)
FRONT = tuple(
    Rung(
        hidden=(width,),
        params=75 * width + 10,
        flops=150 * width,
        val_loss=loss,
        val_accuracy=0.9,
        gap=gap,
        gap_se=error,
        steps=100 * (place + 1),
        sample_visits=1000 * (place + 1),
        flops_spent=1e6 * (place + 1),
        device_s=1.0 + place,
        checkpoint=f"/gone/rungs/{place + 1:02d}.pt",
    )
    for place, (width, loss, gap, error) in enumerate(SIZES)
)
BEST, ONE_SE = 1, 2


def walked(run_id: str = "senn-0-000", *, loss: float = 0.102) -> RunRecord:
    """Return the record of a growing run with this front, and such a score."""
    record = make_record(make_spec(run_id, width=2, arm="senn"))
    found = FRONT[ONE_SE]
    return replace(
        record,
        kind="grow",
        hidden=found.hidden,
        params=found.params,
        val_loss=loss,
        front=FRONT,
        found=ONE_SE,
    )
