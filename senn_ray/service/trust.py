"""Whose code runs: a run folder may come from anybody, and can name code of its own.

That is a data set ``factory:MODULE:FUNCTION`` and an arm ``MODULE:ATTRIBUTE``; both are
imported, from the working directory too. Whoever starts a job has named them. Whoever goes
on with a folder, or looks into it, has not.
"""

from pathlib import Path

from senn_ray.core.errors import UntrustedCodeError
from senn_ray.core.events import Event, JobStarted, RunFinished, RunSubmitted
from senn_ray.search.changes import config_of
from senn_ray.store import folder as run_folder

FACTORY = "factory:"


def require(folder: Path, *, trust: bool) -> None:
    """Make sure that nothing which a run folder names is run unasked.

    Args:
        folder: The run folder, or a copy.
        trust: Whether its code may run.

    Raises:
        UntrustedCodeError: if it names code, and may not.
    """
    names = code_of(folder)
    if names and not trust:
        raise UntrustedCodeError(
            f"{folder} would run code here: {', '.join(names)}; if you know what that "
            "does, add --trust"
        )


def code_of(folder: Path) -> list[str]:
    """List the code that a run folder names: data sets and arms that are imported."""
    events = run_folder.events(folder)
    arms = {arm for event in events for arm in _arms(event)}
    datasets = set[str]()
    if any(isinstance(event, JobStarted) for event in events):
        config = config_of(events)
        arms |= {*config.baseline.arms, *config.scan.arms}
        datasets.add(config.data.dataset)
    if (written := run_folder.written_config(folder)) is not None:
        arms |= {*written.baseline.arms, *written.scan.arms}
        datasets.add(written.data.dataset)
    factories = {name for name in datasets if name.startswith(FACTORY)}
    return sorted(factories | {arm for arm in arms if ":" in arm})


def _arms(event: Event) -> list[str]:
    match event:
        case RunSubmitted(spec=run) | RunFinished(record=run):
            return [run.arm]
        case _:
            return []
