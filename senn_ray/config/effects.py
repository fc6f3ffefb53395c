"""Settings without effect: which keys a job does not read, and why.

One table, by verb, kind of network, optimiser and the like. A key that is set explicitly
and stands in a row that applies is said; all other keys are read. Rows that follow from
what is registered above this room (which arm reads what) are given by the caller.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from senn_ray.config import Config
from senn_ray.config.section import Section

Applies = Callable[[str, Config], bool]


class NoEffectWarning(UserWarning):
    """Say that a setting which was given has no effect."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Keys that are not read where a condition holds."""

    keys: tuple[str, ...]
    """Patterns of ``section.key``."""
    why: str
    applies: Applies
    but: str = ""
    """A key that is read."""


TABLES = ("csv:", "parquet:", "arrow:", "sklearn:", "factory:", "python:")
FILES = ("csv:", "parquet:", "arrow:", "npz:")
TABLE_KEYS = (
    "data.label",
    "data.features",
    "data.drop",
    "data.categories",
    "data.image",
    "data.split",
    "data.numeric",
    "data.max_levels",
)

UNREAD = (
    Unread(
        ("compare.seeds",),
        "grow takes the number of runs as --seeds",
        lambda verb, _: verb == "grow",
    ),
    Unread(
        ("baseline.*", "compare.*", "scan.*"),
        "grow only grows; compare and scan have opponents and subsets",
        lambda verb, _: verb == "grow",
    ),
    Unread(("scan.*",), "only scan visits subsets", lambda verb, _: verb == "compare"),
    Unread(
        ("baseline.*", "compare.seeds", "compare.size_factor", "compare.retrain_seeds"),
        "scan counts runs by scan.subset_seeds, and its opponents are scan.arms and "
        "scan.oracle",
        lambda verb, _: verb == "scan",
    ),
    Unread(
        ("model.channels", "model.patch"),
        "model.kind is mlp; conv has channels and patches",
        lambda _, c: c.model.kind == "mlp",
    ),
    Unread(
        ("growth.curvature",),
        "model.kind conv always samples",
        lambda _, c: c.model.kind == "conv",
    ),
    Unread(
        ("train.momentum", "train.damping", "train.kl_clip"),
        "train.optimizer is adamw; natural steps have it",
        lambda _, c: c.train.optimizer != "natural",
    ),
    Unread(
        ("train.min_steps",),
        "train.max_steps is less",
        lambda _, c: (c.train.max_steps or c.train.min_steps) < c.train.min_steps,
    ),
    Unread(
        ("growth.*", "model.max_depth"),
        "growth.enabled is false",
        lambda _, c: not c.growth.enabled,
        but="growth.enabled",
    ),
    Unread(
        ("growth.ascent_steps",),
        "growth.score random searches for nothing",
        lambda _, c: c.growth.score == "random",
    ),
    Unread(
        ("growth.share", "cluster.shrink"),
        "cluster.workers_per_run is 1: there is no gang",
        lambda _, c: c.cluster.workers_per_run == 1,
    ),
    Unread(
        ("cluster.placement",),
        "a run has one process, without replicas or spares",
        lambda _, c: c.cluster.workers_per_run + c.cluster.spares == 1,
    ),
    Unread(
        ("data.root",),
        "this data set comes with scikit-learn",
        lambda _, c: c.data.dataset.startswith(("digits", "sklearn:")),
    ),
    Unread(
        ("data.memory_gb",),
        "only files of your own may be larger than memory",
        lambda _, c: not c.data.dataset.startswith(FILES),
    ),
    Unread(
        TABLE_KEYS,
        "only tables have columns to choose",
        lambda _, c: not c.data.dataset.startswith(TABLES),
    ),
    Unread(
        ("data.image_size", "data.broken_images"),
        "only image files are decoded",
        lambda _, c: not c.data.dataset.startswith(("parquet:", "arrow:", "imagef")),
    ),
    Unread(
        ("data.task", "data.test_fraction", "data.absent_classes"),
        "labels and test part of this data set are fixed",
        lambda _, c: ":" not in c.data.dataset,
    ),
    Unread(
        ("data.allow_overlap",),
        "only your own data is searched for examples in both parts",
        lambda _, c: ":" not in c.data.dataset,
    ),
)


def given_keys(section: Section, prefix: str = "") -> Iterator[str]:
    """Name the keys of settings that were given, as ``section.key``."""
    for name in sorted(section.model_fields_set):
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from given_keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def without_effect(
    verb: str, config: Config, n_train: int = 0, more: Iterable[Unread] = ()
) -> list[str]:
    """Say which of the given settings have no effect.

    Args:
        verb: What is done with them: grow, compare or scan.
        config: The settings.
        n_train: Most training examples of a run, where they are known.
        more: Rows beside those of the table.

    Returns:
        A line for each reason.
    """
    rows = [row for row in (*UNREAD, *more) if row.applies(verb, config)]
    said = dict[str, list[str]]()
    for key in given_keys(config):
        why = [
            row.why
            for row in rows
            if key != row.but and any(fnmatchcase(key, p) for p in row.keys)
        ]
        if why:
            said.setdefault(why[0], []).append(key)
    notes = [
        f"{', '.join(keys)} {'have' if keys[1:] else 'has'} no effect: {why}"
        for why, keys in said.items()
    ]
    return [*notes, *_epochs(config, n_train)]


def _epochs(config: Config, n_train: int) -> Iterator[str]:
    train = config.train
    wanted = train.wanted_steps(n_train)
    if not n_train or "epochs" not in train.model_fields_set:
        return
    steps = train.steps(n_train)
    if steps != wanted:
        bound = "min" if steps > wanted else "max"
        yield (
            f"train.epochs {train.epochs:g} has no effect: they are {wanted} steps, and "
            f"train.{bound}_steps is {steps}; runs take {steps} steps"
        )
