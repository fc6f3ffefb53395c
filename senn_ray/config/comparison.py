"""Settings of comparisons and scans."""

from typing import Literal

from pydantic import Field, model_validator

from senn_ray.config.section import Section

PAIR = 2


class BaselineConfig(Section):
    """The opponents: ways of choosing a fixed size by restarts."""

    arms: tuple[str, ...] = Field(
        default=(
            "random",
            "tpe_pareto",
            "ladder_bisect",
            "max_once",
            "wide_prune",
            "wide_magnitude",
        ),
        description="opponents of the self-expanding runs, and controls; a wrong name "
        "is answered with all names, module:ATTRIBUTE is an arm of your own",
    )
    max_trials: int = Field(
        default=32, ge=1, description="most runs of the arms random and qmc, in all"
    )
    until_hits: int = Field(
        default=8, ge=1, description="the arms random and qmc stop at these hits"
    )
    studies: int = Field(
        default=4, ge=1, description="independent studies of each tpe arm"
    )
    trials_per_study: int = Field(
        default=8, ge=1, description="runs per study of a tpe arm, in all"
    )
    repeats: int = Field(
        default=3,
        ge=1,
        description="repeats of ladders, max_once and the arms that prune; seeds of grid",
    )
    wide: int = Field(
        default=256,
        ge=1,
        description="width that wide_prune and wide_magnitude start with, if "
        "model.max_hidden is no less",
    )
    full_depth: int = Field(
        default=3, ge=1, description="most hidden layers that tpe_full tries"
    )
    full_lr: tuple[float, ...] = Field(
        default=(3e-4, 3e-2), description="least and greatest learning rate of tpe_full"
    )
    full_weight_decay: tuple[float, ...] = Field(
        default=(1e-2, 10.0), description="least and greatest weight decay of tpe_full"
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> "BaselineConfig":
        for name in ("full_lr", "full_weight_decay"):
            ends = getattr(self, name)
            if len(ends) != PAIR or not 0 < ends[0] < ends[1]:
                raise ValueError(
                    f"baseline.{name} needs two numbers above 0, the least first; got "
                    f"{','.join(map(str, ends))}"
                )
        return self


class CompareConfig(Section):
    """How growing and fixed runs are compared."""

    seeds: int = Field(default=5, ge=1, description="self-expanding runs")
    size_factor: float = Field(
        default=1.1,
        ge=1,
        description="quality at size: parameters over the median grown ones",
    )
    epsilon: float = Field(
        default=0.02,
        ge=0,
        description="non-inferiority margin, as a share of the target loss",
    )
    retrain_seeds: int = Field(
        default=3,
        ge=1,
        description="fresh seeds of each arm's winner, measured on test data",
    )


class ScanConfig(Section):
    """Which sizes of the training set a scan visits."""

    per_class: tuple[int | Literal["all"], ...] = Field(
        default=(),
        description="training examples per class, or 'all' (default: 10, 30, 100, "
        "300, ... as far as the data set goes, and all)",
    )
    subset_seeds: int = Field(
        default=3,
        ge=1,
        description="subsets of each size, counted up from data.subset_seed",
    )

    oracle: tuple[int | Literal["all"], ...] = Field(
        default=(),
        description="sizes, out of scan.per_class, at which plain networks of every "
        "doubled width are trained too",
    )

    arms: tuple[str, ...] = Field(
        default=(),
        description="trained in every cell too, with its subset and seed: growth by "
        "the size of the gradient, or a plain network of the self-found widths",
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> "ScanConfig":
        for name in ("per_class", "oracle"):
            sizes = getattr(self, name)
            for size in sizes:
                if size != "all" and size < 1:
                    raise ValueError(
                        f"scan.{name} needs numbers of at least 1, or 'all'; got {size}"
                    )
                if sizes.count(size) > 1:
                    raise ValueError(f"scan.{name} names {size} more than once")
        return self
