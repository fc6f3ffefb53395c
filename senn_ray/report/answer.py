"""The answer of a job in plain words: what a reader sees first, on console and page.

For a reader who knows what a hyperparameter sweep is and nothing of this project. All
numbers are those of the summary; wins and losses are told alike.
"""

from collections.abc import Sequence

from senn_ray.analysis.results import (
    Caveat,
    CompareSummary,
    GrowSummary,
    RunSummary,
    ScanSummary,
    Summary,
)
from senn_ray.report.formatting import (
    UNKNOWN,
    duration,
    form,
    interval,
    negative,
    number,
    oracle,
    relative,
    share,
    trend,
    widths,
)
from senn_ray.report.fronts import about_front, chosen, middle
from senn_ray.search.targets import TargetName

SENN = "senn"
MOST_ARMS = 5
MOST_CAVEATS = 5
"""Shown at once; all others are fine print."""
REGRESSION = (
    " Losses are halves of squared errors in variances of the targets: a half for each "
    "target is no better than their mean."
)
PRUNING = {
    "wide_prune": "walked down in the same way, without growing",
    "wide_magnitude": "pruned by magnitude, a run for each size",
}
OF = {"wide_magnitude": " of all these runs"}
BRACKETS = "In brackets: 95 % intervals; ≥: at least, with 95 % confidence."
LEADS: dict[TargetName, str] = {
    "quality_at_size": "For a network as good and as small (at most {more} more "
    "parameters)",
    "quality": "For the loss alone, whatever the size",
}


def answer(summary: Summary) -> list[str]:
    """Say what came out, in a few sentences."""
    match summary:
        case ScanSummary():
            return _scanned(summary)
        case GrowSummary():
            return _grown(summary)
        case CompareSummary():
            return _compared(summary)


def foremost(caveats: Sequence[Caveat]) -> tuple[Sequence[Caveat], Sequence[Caveat]]:
    """Divide caveats, sorted by weight, into those to be read first and fine print.

    A single sentence is not worth folding away.
    """
    most = MOST_CAVEATS if len(caveats) > MOST_CAVEATS + 1 else len(caveats)
    first = [c for c in caveats if c.weight != "note"][:most]
    return first, [c for c in caveats if c not in first]


def _compared(summary: CompareSummary) -> list[str]:
    said = [_found(summary), *_against(summary), _good_enough(summary)]
    said += [_search(summary, name) for name in LEADS]
    said.append(_whole_front(summary))
    if summary.verdict:
        said.append(f"Verdict. {summary.verdict}")
    said += [f"No verdict: {why}." for why in summary.withheld]
    said.append(BRACKETS)
    return [sentence for sentence in said if sentence]


def _found(summary: CompareSummary) -> str:
    """Say which size growing found, how good it is, and what a run costs."""
    size, ledger = summary.size.senn, summary.ledger.get(SENN)
    if size is None or ledger is None:
        return ""
    if size.low is None or size.low == size.high:
        many = f"in {size.seeds} runs"
    else:
        many = f"{_units(size.low)} to {_units(size.high)} over {size.seeds} runs"
    part = summary.growth_share
    growth = "" if part is None else f", {part:.0%} of it for growing"
    return (
        f"Growing found {_units(size.estimate)} hidden units ({many}), with a validation "
        f"loss of {number(size.val_loss)} (medians: half of the runs are better). A run takes "
        f"{duration(ledger.device_s / max(ledger.runs, 1))} of device time{growth}."
    )


def _against(summary: CompareSummary) -> list[str]:
    """Say what growing adds to pruning a wide network, and what it saves or costs."""
    if summary.fronts is None:
        return []
    said = []
    for arm, row in summary.fronts.against.items():
        change = relative(negative(row.excess))
        sizes = f"over {len(row.sizes)} sizes"
        judged = {
            "better": f"growing is better: at equal sizes its loss is {change} ({sizes})",
            "unclear": "growing adds nothing to the loss that these runs show: at equal "
            f"sizes it is {change} ({sizes})",
            "worse": f"growing loses: at equal sizes its loss is {change} ({sizes})",
        }[row.judgement]
        said.append(
            f"Against {arm} ({row.units} units, {PRUNING.get(arm, 'pruned')}) "
            f"{judged}; a growing run takes {interval(row.device_s)} times the device "
            f"time{OF.get(arm, '')}."
        )
    return said


def _whole_front(summary: CompareSummary) -> str:
    """Say how many runs an arm needs for a front like that of one growing run."""
    fronts = summary.fronts
    if fronts is None or len(fronts.rungs) < 2 or not fronts.hypervolume:
        return ""
    runs = {a: v.needed.cost["runs"] for a, v in fronts.hypervolume.items()}
    ours = runs.pop(SENN, None)
    if not runs:
        return ""
    texts = [f"{arm} {interval(needed)}" for arm, needed in runs.items()]
    return (
        "For a whole front as good as that of a median growing run (by hypervolume): "
        f"growing needs {interval(ours)} runs; {listed(texts)}."
    )


def _good_enough(summary: CompareSummary) -> str:
    """Say which fixed size is as good, and how good one of the found size is."""
    size = summary.size
    if size.senn is None:
        return ""
    least, plain = size.smallest_sufficient, size.plain_at_senn_size
    if least is None:
        said = "No fixed size was shown to be as good"
    elif least.hidden[0] < size.senn.estimate:
        said = (
            f"A fixed network of {_units(least.estimate)} units is as good, and smaller"
        )
    else:
        said = (
            "The smallest fixed size that was shown to be as good has "
            f"{_units(least.estimate)} units"
        )
    if plain is not None and plain.val_loss is not None:
        said += (
            f"; a fixed network of {_units(plain.estimate)} units, trained alike, has a "
            f"loss of {number(plain.val_loss)}"
        )
    return f"{said}."


def _search(summary: CompareSummary, name: TargetName) -> str:
    """Say how many runs growing and every arm need for a hit of a target."""
    rows = dict(summary.arms.get(name, {}))
    ours = rows.pop(SENN, None)
    if ours is None or not rows:
        return ""
    hit, never, unfit = list[tuple[float, str]](), list[str](), list[str]()
    tried, saving = list[str](), list[str]()
    for arm, row in rows.items():
        runs, saved = row.cost_to_hit.get("runs"), summary.restarts_saved[name].get(arm)
        if row.hits and runs is not None and runs.estimate is not None:
            hit.append((runs.estimate, f"{arm} {interval(runs)}"))
        elif row.best_val_loss is None:
            unfit.append(arm)
        else:
            never.append(arm)
            tried.append(str(row.runs))
            if saved is not None and saved.low is not None and saved.low > 0:
                saving.append(f"{arm} {interval(saved)}")
    said = (
        f"{LEADS[name].format(more=_more(summary))}: growing needs "
        f"{interval(ours.cost_to_hit.get('runs'))} runs"
    )
    if hit:
        texts = [text for _, text in sorted(hit)]
        left = f" (and {len(hit) - MOST_ARMS} more arms)" if hit[MOST_ARMS:] else ""
        said += f"; {listed(texts[:MOST_ARMS])}{left}"
    if never:
        said += f"; {listed(never)} never found one, in {listed(tried)} runs"
    if unfit:
        said += f"; {listed(unfit)} tried no size so small"
    if saving:
        said += f". Restarts saved by growing: {listed(saving)}"
    return f"{said}."


def _more(summary: CompareSummary) -> str:
    """Write how many more parameters than found quality at size allows."""
    target, size = summary.targets.get("quality_at_size"), summary.size.senn
    if not size or not target or not target.max_params:
        return UNKNOWN
    return f"{max(target.max_params / size.params - 1, 0):.0%}"


def listed(words: Sequence[str]) -> str:
    """Write a list as in a sentence."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _units(value: float | None) -> str:
    return widths(value)


def _grown(summary: GrowSummary) -> list[str]:
    """Say which size was found, what others would cost, and what the runs took."""
    good = [run for run in summary.runs if run.run_state == "complete"]
    if not good:
        return [f"No run of {len(summary.runs)} was completed."]
    accuracy, loss = summary.test_accuracy, summary.test_loss
    right = "" if accuracy is None else f"accuracy {share(accuracy)}, test "
    many = f" (medians of {len(good)} runs)" if len(good) > 1 else ""
    params = "" if summary.params is None else f", {summary.params} parameters"
    typical = middle(good)
    rule = "" if typical is None else _rule(typical)
    said = (
        f"Found: {widths(summary.hidden)} hidden units{params}{many}{rule}. Validation "
        f"loss {number(summary.val_loss)}, test {right}loss {number(loss)}."
        f"{'' if right or loss is None else REGRESSION}"
    )
    part = summary.growth_share
    growth = "" if part is None else f", {part:.0%} of it for growing and pruning"
    start = summary.hidden_start
    cost = (
        f"A run, from {start if start == 'mixed' else widths(start)} units on, took "
        f"{summary.steps} steps and {duration(summary.device_s)} of device time{growth}. "
        f"Growth ended: {summary.stop_reason}."
    )
    if typical is None:
        return [said, cost]
    cost += " Any other size: senn-ray pick."
    return [said, *about_front(typical, several=len(good) > 1), cost]


def _rule(run: RunSummary) -> str:
    """Say by which rule a run found its size."""
    is_one_se = chosen(run) == run.found.one_se
    what = "smallest network within one standard error of the best"
    return f", the {what if is_one_se else 'network of least loss'}"


def _scanned(summary: ScanSummary) -> list[str]:
    rows = [row for row in summary.by_size if row.hidden_median is not None]
    if not rows:
        return [f"None of {len(summary.cells)} finished runs has converged."]
    first, last = rows[0], rows[-1]
    least = ""
    if first.best_hidden_median is not None and last.best_hidden_median is not None:
        least = (
            " The least validation loss is reached with "
            f"{widths(first.best_hidden_median)} and {widths(last.best_hidden_median)}."
        )
    return [
        f"With {first.per_class} training examples per class, the found size is "
        f"{widths(first.hidden_median)} hidden units; with {last.per_class}, "
        f"{widths(last.hidden_median)} (medians).{least}",
        trend(summary.fit),
        *filter(None, [form(summary.fit.forms)]),
        *map(oracle, summary.oracle),
    ]
