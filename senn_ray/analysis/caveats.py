"""Plain sentences: the verdict, why it is withheld, and what a reader must keep in mind.

Wins and losses are told with the same weight.
"""

import math
from collections.abc import Iterator, Mapping

from senn_ray.analysis.front_results import Against, Judgement
from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import TOTAL
from senn_ray.analysis.results import (
    ArmRow,
    Caveat,
    LedgerRow,
    Pairs,
    Rate,
    SizeBlock,
    SizeFound,
    Standing,
    Target,
    decisive,
    limiting,
    note,
)
from senn_ray.config import Config
from senn_ray.core.numbers import significant
from senn_ray.search.plan import GRID, SENN
from senn_ray.search.targets import CURRENCIES, Currency, TargetName

LEAST_SEEDS = 5
LEAST_SEARCHES = 3
FEW_EXAMPLES = 200
WIDE_GAP = 0.1
NAMES: dict[TargetName, str] = {
    "quality_at_size": "quality at size",
    "quality": "quality",
}
PAIRED = {
    "no_growth_at_final": "plain networks of the self-found sizes, with equal seeds,",
    "gradmax": "runs that grow by the size of the gradient, with equal seeds,",
}
OVER: dict[Judgement, str] = {
    "better": "has a lower loss than",
    "unclear": "adds nothing that these runs show over",
    "worse": "has a higher loss than",
}
Rows = Mapping[TargetName, Mapping[str, ArmRow]]
Rates = Mapping[TargetName, Mapping[str, Mapping[Currency, Rate]]]
Ledger = Mapping[str, LedgerRow]


def reasons_to_withhold(job: Job) -> Iterator[str]:
    """Say why a headline would not be honest; usually nothing."""
    total = len(job.senn)
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
            yield f"{count} of {total} self-expanding runs {text}"
    if total < LEAST_SEEDS:
        yield (
            f"{total} self-expanding runs are too few for a verdict: it takes "
            f"{LEAST_SEEDS} (compare.seeds)"
        )
    if job.outgrown:
        yield (
            "the targets are those of other self-expanding runs than there are now; "
            "type senn-ray resume RUN, which locks them anew"
        )
    if job.ended.state != "complete":
        yield f"the job is {job.ended.state}: some runs are missing"


def standings(rates: Rates, rows: Rows, ledger: Ledger) -> dict[TargetName, Standing]:
    """Tell which arms need more and which fewer runs than growing, with 95 %.

    Arms with too few searches are left out: nothing is known of how they vary. So are
    those that lost runs to the infrastructure, which is not their doing.
    """
    found = {}
    for name in NAMES:
        groups: dict[str, list[str]] = {"dearer": [], "unclear": [], "cheaper": []}
        for arm, by_currency in rates[name].items():
            if rows[name][arm].searches < LEAST_SEARCHES or ledger[arm].failed:
                continue
            low, high = by_currency["runs"].low, by_currency["runs"].high
            if low is not None and low > 1:
                groups["dearer"].append(arm)
            elif high is not None and high < 1:
                groups["cheaper"].append(arm)
            else:
                groups["unclear"].append(arm)
        found[name] = Standing(**{k: tuple(arms) for k, arms in groups.items()})
    return found


def verdict(
    found: Mapping[TargetName, Standing], pruning: Mapping[str, Against]
) -> str | None:
    """Say what needs fewer runs, and what growing adds to pruning, losses included."""
    added = [
        f"At equal sizes growing {OVER[row.judgement]} {arm}."
        for arm, row in pruning.items()
        if row.searches >= LEAST_SEARCHES
    ]
    return " ".join([*added, *_standing(found)]) or None


def _standing(found: Mapping[TargetName, Standing]) -> Iterator[str]:
    said = []
    for name, standing in found.items():
        groups = {
            "fewer runs than": standing.dearer,
            "no clear difference from": standing.unclear,
            "more runs than": standing.cheaper,
        }
        parts = [f"{text} {', '.join(arms)}" for text, arms in groups.items() if arms]
        if parts:
            said.append(f"for {NAMES[name]}, {'; '.join(parts)}")
    if said:
        yield f"Self-expanding runs need: {'. And '.join(said)}."


def about_rates(
    rates: Rates, rows: Rows, targets: Mapping[TargetName, Target]
) -> Iterator[Caveat]:
    """Say where opponents win, and where the data give bounds only."""
    largest = rows["quality"].get("max_once")
    if largest and largest.hits:
        yield decisive(
            "a single run of the largest network reaches the loss "
            f"({largest.hits} of {largest.runs}): 0 restarts saved on quality alone"
        )
    for name, by_arm in rates.items():
        yield from _cheaper(name, by_arm)
    for arm, row in rows["quality"].items():
        if arm != SENN and row.searches < LEAST_SEARCHES:
            yield limiting(
                f"no verdict on {arm}: it takes {LEAST_SEARCHES} searches, not "
                f"{row.searches}"
            )
    for name, by_arm in rows.items():
        never = [_hitless(arm, row) for arm, row in by_arm.items() if not row.hits]
        loss = targets[name].val_loss
        if never and loss is not None:
            yield decisive(
                f"never reached {NAMES[name]}, so bounds only (the target is "
                f"{significant(loss, 4)}): {'; '.join(never)}"
            )


def _cheaper(
    name: TargetName, rates: Mapping[str, Mapping[Currency, Rate]]
) -> Iterator[Caveat]:
    clear, perhaps = [], []
    for arm, rate in rates.items():
        below: list[Currency] = [c for c in CURRENCIES if (rate[c].estimate or 1) < 1]
        sure: list[Currency] = [c for c in below if (rate[c].high or 1) < 1]
        rest: list[Currency] = [c for c in below if c not in sure]
        clear += [f"{arm} ({_words(sure)})"] if sure else []
        perhaps += [f"{arm} ({_words(rest)})"] if rest else []
    if clear:
        yield decisive(f"for {NAMES[name]} cheaper than growing: {'; '.join(clear)}")
    if perhaps:
        yield limiting(
            f"for {NAMES[name]} perhaps cheaper than growing (the interval includes "
            f"1): {'; '.join(perhaps)}"
        )


def _hitless(arm: str, row: ArmRow) -> str:
    """Name an arm without a hit, and how far its best small enough run stayed behind."""
    best = row.best_val_loss
    got = "none small enough" if best is None else f"best {significant(best, 4)}"
    return f"{arm} ({got} of {row.runs} runs)"


def about_sizes(job: Job, size: SizeBlock) -> Iterator[Caveat]:
    """Say what plain networks of the self-found size, or of a smaller one, do."""
    senn, plain, least = size.senn, size.plain_at_senn_size, size.smallest_sufficient
    margin = 1 + job.config.compare.epsilon
    if senn and plain and _loss(plain) <= _loss(senn) * margin:
        yield decisive(
            f"a plain network of the self-found width reaches {significant(_loss(plain), 4)} "
            f"(self-expanding runs {significant(_loss(senn), 4)}): growing found the size, but "
            "did not train better"
        )
    if senn and least and senn.hidden[0] > least.hidden[0]:
        ratio = senn.hidden[0] / least.hidden[0]
        yield decisive(
            f"a plain network of {least.hidden[0]} units suffices: the self-found size "
            f"is {significant(ratio, 2)} times the smallest sufficient one"
        )
    if GRID not in job.config.baseline.arms:
        yield note(
            "the smallest sufficient size is looked for among the widths that were "
            "trained again only; add grid to baseline.arms for all of them"
        )
    if senn and "ladder_bisect" in job.arms:
        runs = _bisection_runs(job, senn)
        yield note(
            "no arm is told the target loss; with it, one could double the width up to "
            f"it and bisect down, in about {runs} run{'s' if runs > 1 else ''}"
        )


def _loss(found: SizeFound) -> float:
    return math.inf if found.val_loss is None else found.val_loss


def _bisection_runs(job: Job, senn: SizeFound) -> int:
    """Count the runs of a search by doubling and bisection that knows the target loss."""
    start, found = job.config.model.hidden[0], senn.hidden[0]
    runs = math.ceil(math.log2(max(found / start, 1))) + 1
    low = found // 2
    while found > job.config.compare.size_factor * low and found - low > 1:
        low, runs = (low + found) // 2, runs + 1
    return runs


def about_pairs(paired: Mapping[str, Pairs]) -> Iterator[Caveat]:
    """Tell what growing does that the found size, or another score, does not."""
    for arm, row in paired.items():
        if row.low is None or row.high is None:
            continue
        how = ": no clear difference"
        if row.low > 0:
            how = ": self-expansion is better"
        elif row.high < 0:
            how = ": self-expansion is worse"
        yield (decisive if row.high < 0 else note)(
            f"{PAIRED.get(arm, arm)} have a validation loss of {significant(row.excess, 3, sign=True)} "
            f"[{significant(row.low, 3, sign=True)}, {significant(row.high, 3, sign=True)}] against self-expanding runs, at "
            f"{significant(row.params_ratio, 2)} times the parameters ({row.pairs} pairs{how})"
        )


def about_runs(job: Job, ledger: Ledger) -> Iterator[Caveat]:
    """Say what of the machines, or of failures, shows in the numbers."""
    for arm, row in ledger.items():
        # What the infrastructure has lost is not the arm's doing.
        if arm not in {TOTAL, SENN} and row.failed:
            yield limiting(
                f"{'no verdict on ' if arm in job.arms else ''}{arm}: {row.failed} of "
                f"its {row.runs:g} runs failed, which is not its doing; type senn-ray "
                "resume RUN --retry-failed"
            )
    bad = [r for r in job.records if r.kind == "fixed" and r.state == "diverged"]
    if bad:
        yield limiting(f"{len(bad)} fixed runs diverged; they count")
    total = ledger[TOTAL]
    if total.retries or total.wasted_device_s:
        yield note(
            f"{total.retries} runs were attempted again after failures of the "
            f"infrastructure, and {total.interruptions} replicas were lost: "
            f"{significant(total.wasted_device_s, 3)} device seconds are wasted, not restarts"
        )
    if len(job.devices) > 1:
        used = ", ".join(f"{count} runs {name}" for name, count in job.devices.items())
        yield limiting(
            f"runs used different devices ({used}): device seconds are not compared; "
            "the other currencies are fine"
        )
    trained = [record.n_train for record in job.senn if record.n_train]
    if trained:
        yield note(
            f"all runs have the same {trained[0]} training examples "
            f"(data.subset_seed {job.config.data.subset_seed}): intervals are over "
            "seeds, not over samples of the data"
        )
    if any(record.stop_reason == "schedule" for record in job.records):
        yield note(
            "runs of fixed size train their whole schedule and keep their best network, "
            "but do not end early: stopped at their best, they would spend fewer steps "
            "and seconds"
        )


def about_costs(
    job: Job, cost: Mapping[str, Mapping[Currency, float]], growth_share: float | None
) -> Iterator[Caveat]:
    """Say what is not in the costs, and how much of them is growth."""
    senn = cost[SENN]
    missing: list[Currency] = [c for c in CURRENCIES if senn["runs"] and not senn[c]]
    if missing:
        yield limiting(f"{_words(missing)} were not measured")
    if growth_share is not None:
        yield note(
            f"{growth_share:.0%} of the device time of self-expanding runs is growth"
        )
    if job.config.growth != Config().growth:
        yield limiting(
            "growth settings differ from the defaults; runs spent on choosing them "
            "are not counted here"
        )


def about_data(job: Job) -> Iterator[Caveat]:
    """Say, for any verb, if the data give little, or unlike, or leaked evidence."""
    if why := job.config.data.allow_overlap:
        yield decisive(
            f"training and test parts may share examples: {why} (data.allow_overlap)"
        )
    for text in job.started.data_notes:
        yield note(f"data: {text}")
    ends = [(r.val_loss, r.guess_val_loss) for r in job.senn]
    lost = [(v, g) for v, g in ends if v is not None and g is not None and v >= g]
    if lost:
        loss, guess = max(lost)
        yield decisive(
            f"{len(lost)} of {len(ends)} self-expanding runs predict no better than a "
            f"constant does, without the features (validation loss {significant(loss, 4)}, of the "
            f"constant {significant(guess, 4)}): there may be too few examples, or nothing to learn"
        )
    least = min((r.n_val for r in job.records if r.n_val), default=FEW_EXAMPLES)
    if least < FEW_EXAMPLES:
        yield limiting(
            f"validation losses are means over {least} examples only, so sizes and hits "
            "depend on which these are; raise data.val_fraction"
        )
    gap = max((r.val_share_gap or 0.0 for r in job.records), default=0.0)
    if gap > WIDE_GAP:
        yield limiting(
            "classes have other shares among validation examples than among training "
            f"ones (they differ by {gap:.0%}), so losses on them are of another "
            "distribution; data.val_fraction gives equal shares, and data.per_class all"
        )


def about_grown(job: Job) -> Iterator[Caveat]:
    """Say how runs of ``grow`` ended otherwise than by themselves."""
    said = {
        "cap_hit": "hit the cap (model.max_hidden, or model.max_depth): the size is the "
        "cap's choice",
        "budget": "ended at the budget before growth had settled",
        "diverged": "diverged",
        "error": "failed",
    }
    stops, total = [record.stop_reason for record in job.senn], len(job.senn)
    for reason, text in said.items():
        if count := stops.count(reason):
            yield decisive(f"{count} of {total} runs {text}")


def _words(currencies: list[Currency]) -> str:
    return ", ".join(c.replace("_s", " seconds").replace("_", " ") for c in currencies)
