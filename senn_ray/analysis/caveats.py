"""Plain sentences: the verdict, why it may be withheld, and what to keep in mind."""

import math
from collections.abc import Mapping
from typing import Any

from senn_ray.analysis.circumstances import circumstances
from senn_ray.analysis.job import Job
from senn_ray.config import Config
from senn_ray.search.plan import GRID, SENN
from senn_ray.search.targets import CURRENCIES

LEAST_SEEDS = 5
LEAST_SEARCHES = 3
NAMES = {"quality": "quality", "quality_at_size": "quality at size"}
Known = Mapping[str, Any]


def reasons_to_withhold(job: Job) -> list[str]:
    """Say why a headline would not be honest; usually nothing.

    Args:
        job: The job.
    """
    reasons, total = [], len(job.senn)
    stops = [record.stop_reason for record in job.senn]
    said = {
        "cap_hit": "hit the cap model.max_hidden, so their size is the cap's choice; "
        "raise model.max_hidden",
        "budget": "did not converge within the budget; raise train.epochs",
        "diverged": "diverged; lower train.lr or raise train.damping",
        "error": "failed; type senn-ray resume RUN --retry-failed",
    }
    for reason, text in said.items():
        if count := stops.count(reason):
            reasons.append(f"{count} of {total} self-expanding runs {text}")
    if total < LEAST_SEEDS:
        reasons.append(
            f"{total} self-expanding runs are too few for a verdict: it takes "
            f"{LEAST_SEEDS} (compare.seeds)"
        )
    if job.outgrown:
        reasons.append(
            "the targets are those of other self-expanding runs than there are now; "
            "type senn-ray resume RUN, which locks them anew"
        )
    if job.ended.state != "complete":
        reasons.append(f"the job is {job.ended.state}: some runs are missing")
    return reasons


def verdict(known: Known) -> str | None:
    """Say in one sentence who needs fewer runs, losses included.

    Arms with too few searches are left out: nothing is known of how they vary. So are
    those with runs that failed: what they lost is not their doing.

    Args:
        known: The parts of the summary: exchange rates and rows, by target and arm.
    """
    said = []
    for name in ("quality_at_size", "quality"):
        rates = {
            arm: rate
            for arm, rate in known["exchange_rate"][name].items()
            if known["arms"][name][arm]["searches"] >= LEAST_SEARCHES
            and not known["ledger"][arm]["failed"]
        }
        groups = _sorted_arms(rates)
        parts = [f"{text} {', '.join(arms)}" for text, arms in groups.items() if arms]
        if parts:
            said.append(f"for {NAMES[name]}, {'; '.join(parts)}")
    return f"Self-expanding runs need: {'. And '.join(said)}." if said else None


def caveats(job: Job, known: Known) -> list[str]:
    """List what a reader must keep in mind.

    Args:
        job: The job.
        known: The parts of the summary that are computed already.
    """
    found = [
        *_largest_once(known["arms"]["quality"].get("max_once")),
        *_cheaper_arms(known["exchange_rate"]),
        *_few_searches(known["arms"]["quality"]),
        *_bounds(known),
        *_control(known["size"], job.config.compare.epsilon),
        *_pairs(known["paired"]),
        *_over_provision(known["size"]),
        *_no_grid(job),
        *_known_target(job, known["size"]["senn"]),
        *circumstances(job, known["ledger"]),
        *_unmeasured(known["cost"]),
    ]
    if known["growth_share"] is not None:
        share = f"{known['growth_share']:.0%}"
        found.append(f"{share} of the device time of self-expanding runs is growth")
    if job.config.growth != Config().growth:
        found.append(
            "growth settings differ from the defaults; runs spent on choosing them "
            "are not counted here"
        )
    return found


def _sorted_arms(rates: Known) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {
        "fewer runs than": [],
        "no clear difference from": [],
        "more runs than": [],
    }
    for arm, by_currency in rates.items():
        rate = by_currency["runs"]
        low, high = rate["low"], rate["high"]
        if low is not None and low > 1:
            groups["fewer runs than"].append(arm)
        elif high is not None and high < 1:
            groups["more runs than"].append(arm)
        else:
            groups["no clear difference from"].append(arm)
    return groups


def _largest_once(row: Known | None) -> list[str]:
    if not row or not row["hits"]:
        return []
    return [
        "a single run of the largest network reaches the loss "
        f"({row['hits']} of {row['runs']}): 0 restarts saved on quality alone"
    ]


def _cheaper_arms(rates: Known) -> list[str]:
    """Say where opponents are cheaper, with the same weight as a win."""
    return [said for name, by_arm in rates.items() for said in _cheaper(name, by_arm)]


def _cheaper(name: str, rates: Known) -> list[str]:
    lost = {
        arm: [c for c in CURRENCIES if (rate[c]["estimate"] or 1) < 1]
        for arm, rate in rates.items()
    }
    clear = {
        arm: [c for c in found if (rates[arm][c]["high"] or 1) < 1]
        for arm, found in lost.items()
    }
    perhaps = {
        arm: [c for c in found if c not in clear[arm]] for arm, found in lost.items()
    }
    kinds = {
        "cheaper than growing": clear,
        "perhaps cheaper than growing (the interval includes 1)": perhaps,
    }
    return [
        f"for {NAMES[name]} {how}: " + "; ".join(said)
        for how, arms in kinds.items()
        if (said := [f"{arm} ({_words(c)})" for arm, c in arms.items() if c])
    ]


def _few_searches(arms: Known) -> list[str]:
    few = {
        arm: row["searches"]
        for arm, row in arms.items()
        if arm != SENN and row["searches"] < LEAST_SEARCHES
    }
    return [
        f"no verdict on {arm}: it takes {LEAST_SEARCHES} searches, not {count}"
        for arm, count in few.items()
    ]


def _bounds(known: Known) -> list[str]:
    """Name who never hit, and how far the best run that is small enough stayed behind."""
    return [
        f"never reached {NAMES[name]}, so bounds only (the target is "
        f"{known['targets'][name]['val_loss']:.4g}): {'; '.join(arms)}"
        for name, rows in known["arms"].items()
        if (
            arms := [_hitless(*found) for found in rows.items() if not found[1]["hits"]]
        )
    ]


def _hitless(arm: str, row: Known) -> str:
    best = row["best_val_loss"]
    got = "none small enough" if best is None else f"best {best:.4g}"
    return f"{arm} ({got} of {row['runs']} runs)"


def _control(size: Known, epsilon: float) -> list[str]:
    senn, plain = size["senn"], size["plain_at_senn_size"]
    if not senn or not plain or plain["val_loss"] > senn["val_loss"] * (1 + epsilon):
        return []
    return [
        f"a plain network of the self-found width reaches {plain['val_loss']:.4g} "
        f"(self-expanding runs {senn['val_loss']:.4g}): growing found the size, but "
        "did not train better"
    ]


def _pairs(paired: Known) -> list[str]:
    """Tell what growing does that the found size, or another score, does not."""
    who = {
        "no_growth_at_final": "plain networks of the self-found sizes, with equal seeds,",
        "gradmax": "runs that grow by the size of the gradient, with equal seeds,",
    }
    return [
        f"{who[arm]} have a validation loss of {row['excess']:+.3g} "
        f"[{row['low']:+.3g}, {row['high']:+.3g}] against self-expanding runs, at "
        f"{row['params_ratio']:.2g} times the parameters ({row['pairs']} pairs"
        f"{_how(row)})"
        for arm, row in paired.items()
        if row["low"] is not None
    ]


def _how(row: Known) -> str:
    if row["low"] > 0:
        return ": self-expansion is better"
    return ": self-expansion is worse" if row["high"] < 0 else ": no clear difference"


def _over_provision(size: Known) -> list[str]:
    senn, least = size["senn"], size["smallest_sufficient"]
    if not senn or not least or senn["hidden"][0] <= least["hidden"][0]:
        return []
    ratio = senn["hidden"][0] / least["hidden"][0]
    return [
        f"a plain network of {least['hidden'][0]} units suffices: the self-found size "
        f"is {ratio:.2g} times the smallest sufficient one"
    ]


def _no_grid(job: Job) -> list[str]:
    if GRID in job.config.baseline.arms:
        return []
    return [
        "the smallest sufficient size is looked for among the widths that were trained "
        "again only; add grid to baseline.arms for all of them"
    ]


def _known_target(job: Job, senn: Known | None) -> list[str]:
    """Say what the arms would need if they were told the target loss."""
    if not senn or "ladder_bisect" not in job.arms:
        return []
    start, found = job.config.model.hidden[0], senn["hidden"][0]
    runs = math.ceil(math.log2(max(found / start, 1))) + 1
    low = found // 2
    while found > job.config.compare.size_factor * low and found - low > 1:
        low, runs = (low + found) // 2, runs + 1
    return [
        "no arm is told the target loss; whoever knew it could double the width up to "
        f"it and bisect down, in about {runs} run{'s' if runs > 1 else ''}"
    ]


def _unmeasured(cost: Known) -> list[str]:
    senn = cost["senn"]
    missing = [c for c in CURRENCIES if senn["runs"] and not senn[c]]
    return [f"{_words(missing)} were not measured"] if missing else []


def _words(currencies: list[str]) -> str:
    return ", ".join(c.replace("_s", " seconds").replace("_", " ") for c in currencies)
