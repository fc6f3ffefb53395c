"""The protocol: what a job will do and how it will judge, frozen before the first run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from senn_ray.core.versions import versions
from senn_ray.search.plan import Plan, seed_of, senn_keys
from senn_ray.search.targets import CURRENCIES

SCHEMA_VERSION = 1
RULES = {
    "score": "least validation loss among the evaluations at the final size",
    "quality": "score <= median score of the self-expanding runs",
    "quality_at_size": "quality, and parameters <= compare.size_factor x the median "
    "parameters of the self-expanding runs",
    "random": "log-uniform integer width; stops at baseline.until_hits hits of "
    "quality_at_size in trial order, or at baseline.max_trials",
    "qmc": "as random, with widths at the places of a shifted van der Corput sequence",
    "tpe": "independent Optuna studies over the width for the least score, one trial in "
    "flight each, run to their end",
    "tpe_pareto": "as tpe, over score and log parameters",
    "tpe_pruner": "as tpe; after 4 complete trials of a study a run ends at the first "
    "evaluation, past a quarter of them, whose best loss so far is above the median of "
    "the study's complete runs at that evaluation; its score is that best loss",
    "tpe_full": "as tpe, over width, depth, learning rate and weight decay, with AdamW",
    "ladder": "double the width until two doublings in a row improve the score by no "
    "more than compare.epsilon",
    "gradmax": "self-expanding runs of the same seeds whose candidates are found by the "
    "size of the gradient; one run is one search",
    "no_growth_at_final": "a plain network of the widths and the seed of each "
    "self-expanding run; told the answer, so compared in pairs and with no exchange rate",
    "ladder_bisect": "double the width until the score improves by no more than "
    "compare.epsilon, then bisect for the smallest width within that of the best",
    "max_once": "one run of the largest width",
    "grid": "in a comparison, plain networks of every doubled width, which then alone "
    "decide the smallest sufficient size; in a scan, plain networks of every doubled width, on the subsets of "
    "scan.oracle; sufficient if non-inferior to the self-expanding runs by "
    "compare.epsilon, by differences on equal subsets",
    "restart": "every fixed run counts as one, also if it diverges or fails",
    "test": "read for runs that are not chosen by their outcome, when they are over: "
    "self-expanding runs, gradmax, no_growth_at_final, grid, and winners that are trained "
    "again with fresh seeds; no decision depends on it",
}


def freeze(
    plan: Plan, *, data_sha256: str, split: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write down what a job will do.

    Args:
        plan: The plan of the job.
        data_sha256: Hash of the arrays of the data set.
        split: Which examples train and which validate: a hash, and how many.

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
        "seed": config["seed"],
        "data": {**config["data"], "sha256": data_sha256},
        "split": dict(split or {}),
        "model": config["model"],
        "train": config["train"],
        "growth": config["growth"],
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
