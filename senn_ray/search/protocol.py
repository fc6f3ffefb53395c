"""The protocol: what a job will do and how it will judge, frozen before the first run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from senn_ray.core.versions import versions
from senn_ray.search.arms import ARMS, find
from senn_ray.search.plan import Plan, senn_keys
from senn_ray.search.specs import seed_of
from senn_ray.search.targets import CURRENCIES

SCHEMA_VERSION = 1
RULES = {
    "score": "least validation loss of the network found: among its evaluations at that size",
    "quality": "score <= median score of the self-expanding runs",
    "quality_at_size": "quality, and parameters <= compare.size_factor x the median "
    "parameters of the self-expanding runs",
    "restart": "every fixed run counts as one, also if it diverges or fails",
    "test": "read for runs that are not chosen by their outcome, when they are over: "
    "self-expanding runs, gradmax, wide_prune, wide_magnitude, no_growth_at_final, grid, "
    "and winners that are trained again with fresh seeds; no decision depends on it",
    "front": "the least score of an arm's networks with at most so many parameters; all "
    "networks of a run count that is walked down",
    "rung": "for every size of the self-expanding run of median found size: front <= "
    "(1 + compare.epsilon) x the median front of the self-expanding runs at that size; "
    "here the front of a run that is walked down, and of a search of wide_magnitude, is "
    "read between its networks, on a line in both logarithms",
    "hypervolume": "mean of log(validation loss of the constant predictor / front), 0 "
    "where that is negative or there is no network so small, over parameters from those "
    "of one hidden unit to those of model.max_hidden units, on a logarithmic scale; "
    "losses below 1e-9 count as 1e-9; the target is the median of the self-expanding runs",
    "against": "log front of the arm less that of the self-expanding runs, read between "
    "networks likewise, at the sizes of the rungs; means over searches, Welch's t",
    **{arm.name: arm.rule for arm in ARMS.values() if arm.rule},
}


def freeze(
    plan: Plan,
    *,
    data_sha256: str,
    split: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write down what a job will do.

    Args:
        plan: The plan of the job.
        data_sha256: Hash of the arrays of the data set.
        split: Which examples train and which validate: a hash, and how many.
        labels: What the outputs stand for: task, columns, classes in their order.

    Returns:
        JSON values; ``protocol_id`` is a hash of all others.
    """
    config = plan.config.model_dump(mode="json")
    chosen = [*plan.config.baseline.arms, *plan.config.scan.arms]
    values = {
        "schema_version": SCHEMA_VERSION,
        "verb": plan.verb,
        "rules": RULES | {name: find(name).rule for name in chosen},
        "currencies": list(CURRENCIES),
        "widths": {"low": plan.lowest, "high": plan.highest, "wide": plan.wide},
        "hypervolume": {
            "axes": ["log parameters", "log validation loss"],
            "reference": {"units": plan.highest, "loss": "constant predictor"},
            "least_units": 1,
        },
        "senn_seeds": [seed_of(plan, key) for key in senn_keys(plan)],
        "seed": config["seed"],
        "data": {**config["data"], "sha256": data_sha256, "labels": labels},
        "split": dict(split or {}),
        "model": config["model"],
        "train": config["train"],
        "growth": config["growth"],
        "front": config["front"],
        "baseline": config["baseline"],
        "compare": config["compare"],
        "scan": config["scan"],
        "budget": config["budget"],
        "config_sha256": _hash(config),
        "versions": versions(),
    }
    return {"protocol_id": _hash(values)[:12], **values}


def _hash(values: Any) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
