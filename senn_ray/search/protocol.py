"""The protocol: what a job will do and how it will judge, frozen before the first run."""

import hashlib
import importlib.metadata
import json
import platform
from typing import Any

from senn_ray.search.plan import Plan, seed_of, senn_keys

SCHEMA_VERSION = 1
CURRENCIES = ("runs", "steps", "sample_visits", "flops", "device_s")
PACKAGES = ("senn-ray", "numpy", "optuna", "pyarrow", "ray", "scipy", "torch")
RULES = {
    "score": "least validation loss among the evaluations at the final size",
    "quality": "score <= median score of the self-expanding runs",
    "quality_at_size": "quality, and parameters <= compare.size_factor x the median "
    "parameters of the self-expanding runs",
    "random": "log-uniform integer width; stops at baseline.until_hits hits of "
    "quality_at_size in trial order, or at baseline.max_trials",
    "tpe_pareto": "independent Optuna studies over score and log parameters, one trial "
    "in flight each, run to their end",
    "ladder_bisect": "double the width until the score improves by no more than "
    "compare.epsilon, then bisect for the smallest width within that of the best",
    "max_once": "one run of the largest width",
    "grid": "in a scan, plain networks of every doubled width, on the subsets of "
    "scan.oracle; sufficient if non-inferior to the self-expanding runs by "
    "compare.epsilon, by differences on equal subsets",
    "restart": "every fixed run counts as one, also if it diverges or fails",
    "test": "read for self-expanding runs when they are over, and for winners that are "
    "trained again with fresh seeds; no decision depends on it",
}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def freeze(plan: Plan, *, data_sha256: str) -> dict[str, Any]:
    """Write down what a job will do.

    Args:
        plan: The plan of the job.
        data_sha256: Hash of the arrays of the data set.

    Returns:
        JSON values; ``protocol_id`` is a hash of all others.
    """
    config = plan.config.model_dump(mode="json")
    values = {
        "schema_version": SCHEMA_VERSION,
        "verb": plan.verb,
        "rules": RULES,
        "currencies": list(CURRENCIES),
        "widths": {"low": plan.lowest, "high": plan.highest},
        "senn_seeds": [seed_of(plan, key) for key in senn_keys(plan)],
        "data": {**config["data"], "sha256": data_sha256},
        "train": config["train"],
        "growth": config["growth"],
        "baseline": config["baseline"],
        "compare": config["compare"],
        "scan": config["scan"],
        "config_sha256": _hash(config),
        "versions": versions(),
    }
    return {"protocol_id": _hash(values)[:12], **values}


def _hash(values: Any) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
