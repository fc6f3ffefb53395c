"""Settings of the front: the ladder of sizes of a run, and the choice on it."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from senn_ray.config.section import Section


class FrontConfig(Section):
    """How a network is walked down, and which of its sizes is the found one."""

    ratio: float = Field(
        default=0.71,
        gt=0,
        lt=1,
        description="size of a rung over that of the rung before it",
    )
    cost: Literal["params", "flops"] = Field(
        default="params",
        description="what the size of a network is: its parameters, or the FLOPs of one "
        "example's forward pass",
    )
    sizes: tuple[int, ...] = Field(
        default=(),
        description="most parameters (or FLOPs) of each rung, falling, in place of "
        "front.ratio; the network that growth ends with is the first rung",
    )
    rungs: int | None = Field(
        default=None,
        ge=1,
        description="most rungs, from the largest (default: down to one neuron in each "
        "layer)",
    )
    rung_steps: int | None = Field(
        default=None,
        ge=1,
        description="steps of a rung (default: all together those of a plain run)",
    )
    choose: Literal["one_se", "best"] = Field(
        default="one_se",
        description="the found size: the smallest network within one standard error of "
        "the best one, or the best one",
    )
    checkpoint_mb: float = Field(
        default=1000.0,
        ge=0,
        description="most megabytes of a run's rungs on disk; those that do not fit "
        "together with all smaller ones are left out",
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> "FrontConfig":
        if min(self.sizes, default=1) < 1:
            raise ValueError(
                f"front.sizes needs numbers of at least 1, got {self.sizes}"
            )
        for first, second in pairwise(self.sizes):
            if second >= first:
                raise ValueError(
                    f"front.sizes must fall, but {second} comes after {first}; "
                    f"type --front.sizes {','.join(map(str, self.falling()))}"
                )
        return self

    def falling(self) -> list[int]:
        """Return the sizes, each once, largest first."""
        return sorted(set(self.sizes), reverse=True)
