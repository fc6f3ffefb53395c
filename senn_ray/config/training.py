"""Settings of training and of growth."""

import math
from typing import Literal

from pydantic import Field

from senn_ray.config.section import Section


class TrainConfig(Section):
    """How weights are trained; the same for growing and fixed runs."""

    optimizer: Literal["adamw", "natural"] = Field(
        default="adamw", description="adamw, or natural (K-FAC)"
    )
    lr: float = Field(default=3e-3, gt=0, description="peak learning rate")
    weight_decay: float | None = Field(
        default=None,
        ge=0,
        description="decoupled weight decay, held fixed (default: it begins at a level "
        "that follows from the numbers of inputs and examples, and follows the "
        "validation loss up and down)",
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="momentum of natural steps"
    )
    damping: float = Field(default=1e-2, gt=0, description="damping of natural steps")
    kl_clip: float = Field(
        default=1e-2, gt=0, description="trust region of natural steps"
    )
    batch_size: int = Field(
        default=512, ge=1, description="examples per step, whole gang"
    )
    epochs: float = Field(
        default=80.0, gt=0, description="passes over the training data"
    )
    min_steps: int = Field(
        default=1000, ge=1, description="lower bound on the steps of a run"
    )
    max_steps: int | None = Field(
        default=None, ge=1, description="upper bound on the steps"
    )
    cooldown: float = Field(
        default=0.4,
        gt=0,
        le=1,
        description="last share of a plain run's steps, with falling rate",
    )
    evaluations: int = Field(
        default=40, ge=2, description="validation measurements of a plain run"
    )
    precision: Literal["float32", "float64"] = Field(
        default="float32", description="of all arithmetic; float64 for checks"
    )

    def wanted_steps(self, n_train: int) -> int:
        """Return the steps of the epochs on ``n_train`` examples, without bounds."""
        return math.ceil(self.epochs * n_train / self.batch_size)

    def steps(self, n_train: int) -> int:
        """Return the steps of a run on ``n_train`` examples: its epochs, within bounds."""
        steps = max(self.min_steps, self.wanted_steps(n_train))
        return min(steps, self.max_steps or steps)


class GrowthConfig(Section):
    """When, where and with what a network grows and shrinks."""

    enabled: bool = Field(
        default=True, description="false trains the starting widths only"
    )
    score: Literal["natural", "gradient", "random"] = Field(
        default="natural",
        description="how candidates are found: by the natural expansion score, or, as "
        "controls, by the size of the gradient (as in GradMax) or at random",
    )
    relative_threshold: float = Field(
        default=0.005, ge=0, description="least held-out gain over the current score"
    )
    absolute_threshold: float = Field(
        default=1e-4,
        gt=0,
        description="least promised drop of the loss, in nats (of a regression: in "
        "variances of the targets): below, a neuron is not worth its computation, "
        "whatever the evidence",
    )
    significance: float = Field(
        default=1.7, ge=0, description="least held-out gain, in standard errors"
    )
    damping: float = Field(
        default=0.1, gt=0, description="of G, over the root mean square gradient"
    )
    curvature: Literal["auto", "exact", "sampled"] = Field(
        default="auto",
        description="of hidden layers: one backward pass per output, or an estimate "
        "from random signs (auto: with thousands of examples)",
    )
    candidates: int = Field(
        default=32, ge=1, description="candidates per site and check"
    )
    ascent_steps: int = Field(default=6, ge=0, description="steps of score ascent")
    rank: int = Field(
        default=32, ge=1, description="input directions that candidates look at"
    )
    decision_examples: int | None = Field(
        default=None,
        ge=4,
        description="most training examples for one decision: a third to search on, "
        "the rest held out, of fewer examples half (default: 16384; 4096 for model.kind "
        "conv, which looks at many positions of each)",
    )
    share: Literal["auto", "examples", "candidates"] = Field(
        default="auto",
        description="how a gang divides the search: by examples (many small messages) "
        "or by candidates (one large one); auto takes what costs less on 10 Gbit/s",
    )
    check_every: int | None = Field(
        default=None,
        ge=1,
        description="steps between the first growth checks (default: half a pass over "
        "the training data, at least 25)",
    )
    check_spacing: float = Field(
        default=0.25, ge=0, description="between later ones, over the steps so far"
    )
    max_additions: int = Field(
        default=32, ge=1, description="most additions in one check"
    )
