"""Choosing a network on the front of a run, and writing it as files that need torch only."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from senn_ray.analysis.pick import SizeRule, described, pick_rung
from senn_ray.analysis.pick import pick as pick_run
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.fronts import at_rung
from senn_ray.core.records import RunRecord
from senn_ray.service import jobs
from senn_ray.service import trust as allow
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, locations
from senn_ray.store.locations import Location

if TYPE_CHECKING:
    from senn_ray.analysis.results import PickResult

NETWORKS = "checkpoints"
FINAL, RUNGS = "final.pt", "rungs"
RUN_ID = re.compile(r".+-\d+-\d{3}")


@dataclass(frozen=True, kw_only=True)
class Written:
    """A network that was exported."""

    record: RunRecord
    """The record of the whole run."""
    place: int | None
    """Of the network on the front; nothing for a run of before fronts."""
    rule: str
    test: tuple[float | None, float | None]
    """Test loss and accuracy."""
    model: Location


def pick(
    run: Location,
    rule: SizeRule,
    *,
    run_id: str | None,
    out: Location | None,
    trust: bool,
) -> "PickResult":
    """Choose a network and export it; the arguments are those of the verb."""
    from senn_ray.analysis.results import PickResult
    from senn_ray.analysis.summary import run_summary

    asked = "pick", "--run"
    done = write(run, rule, run_id=run_id, out=out, trust=trust, asked=asked)
    if done.place is None:
        raise AssertionError("a network without a place on a front is never picked")
    summary = run_summary(done.record)
    return PickResult(
        run=str(locations.locate(run)),
        run_id=done.record.run_id,
        seed=done.record.seed,
        rule=done.rule,
        place=done.place,
        front=summary.front,
        found=summary.found,
        test_loss=done.test[0],
        test_accuracy=done.test[1],
        model=done.model,
    )


def write(
    run: Location,
    rule: SizeRule,
    *,
    run_id: str | None,
    out: Location | None,
    trust: bool,
    asked: tuple[str, str] = ("export", "--pick"),
) -> Written:
    """Export the network that a rule chooses.

    Args:
        run: The run folder.
        rule: What the size is chosen by.
        run_id: The run (default: the one of median validation loss).
        out: Where the files go (default: ``model/`` of the run folder).
        trust: Whether code that the folder names may run here.
        asked: The verb, and its flag for the run.
    """
    from senn_ray.analysis.job import gather

    target = None if out is None else locations.choose(out, Config(), "model")
    needed = (*jobs.DESCRIPTION, f"{NETWORKS}/")
    with locations.opened(run, *needed, send=target is None) as folder:
        _refuse_run_id(run, folder, asked)
        allow.require(folder, trust=trust)
        run_folder.require_own(folder)
        job = gather(journal.read(folder))
        networks = folder / NETWORKS
        kept = {path.parts[-2] for path in networks.glob(f"*/{FINAL}")}
        kept |= {path.parts[-3] for path in networks.glob(f"*/{RUNGS}/*.pt")}
        record = pick_run(job.records, run_id, is_kept=kept.__contains__, flag=asked[1])
        fronted = bool(record.front or rule.given() or asked[0] == "pick")
        place = pick_rung(record, rule) if fronted else None
        source = networks / record.run_id / FINAL
        exported, said = record, None
        if place is not None:
            source = _network(networks / record.run_id, record, place)
            exported = at_rung(record, place)
            said = described(rule, job.config.front.choose)
        if target is None:
            test = _export(exported, source, folder, folder / "model", said)
        else:
            with locations.opened(target, send=True) as there:
                test = _export(exported, source, folder, there, said)
    return Written(
        record=record,
        place=place,
        rule=said or "",
        test=test,
        model=target or locations.below(locations.locate(run), "model"),
    )


def _export(
    record: RunRecord, source: Path, folder: Path, target: Path, said: str | None
) -> tuple[float | None, float | None]:
    """Write the files; return test loss and accuracy, as far as they are known."""
    from senn_ray.export.export import export

    raw = jobs.data_in_reach(run_folder.recorded_plan(folder), folder)
    measured = export(record, source, raw, target, chosen_by=said)
    if measured is None:
        return record.test_loss, record.test_accuracy
    return measured.loss, measured.accuracy


def _network(folder: Path, record: RunRecord, place: int) -> Path:
    """Return the file of a network of a run.

    Raises:
        DataError: if it was not kept, or has gone.
    """
    if place == record.found and (folder / FINAL).is_file():
        return folder / FINAL
    rung = record.front[place]
    path = folder / RUNGS / f"{place + 1:02d}.pt"
    if rung.checkpoint is not None and path.is_file():
        return path
    if rung.checkpoint is not None:
        raise DataError(f"{path} is gone; restore it, or choose another size")
    sizes = [r.params for r in record.front if r.checkpoint is not None]
    kept = (
        f"of {record.run_id} those of {min(sizes)} to {max(sizes)} parameters are kept"
        if sizes
        else f"of {record.run_id} the found one alone is kept"
    )
    raise DataError(
        f"the network of {rung.params} parameters was left out to keep to "
        f"front.checkpoint_mb; {kept}; choose one of them, or grow again with a larger "
        "--front.checkpoint-mb"
    )


def _refuse_run_id(run: Location, folder: Path, asked: tuple[str, str]) -> None:
    """Say what to type where a run is named like that of ``rerun``, RUN/RUN_ID."""
    parent, _, name = str(run).rstrip("/").rpartition("/")
    if RUN_ID.fullmatch(name) and not (folder / journal.FILE_NAME).is_file():
        verb, flag = asked
        raise ConfigError(
            f"{run} is not a run folder; for one of its runs type: senn-ray {verb} "
            f"{parent or 'RUN'} {flag} {name}"
        )
