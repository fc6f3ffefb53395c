"""Settings: one frozen pydantic model, shared by every verb.

Keys are ``section.key``; each is also a flag (``--section.key``) and an environment
variable (``SENN_RAY_SECTION_KEY``). Units are in the names or the descriptions.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Activation = Literal["silu", "gelu", "tanh", "relu", "rational", "prelu"]
REACHES_IDENTITY: tuple[Activation, ...] = ("rational", "prelu")
"""Nonlinearities with parameters of their own, for some of which they do nothing."""
Arm = Literal[
    "random",
    "qmc",
    "tpe",
    "tpe_pareto",
    "tpe_pruner",
    "tpe_full",
    "ladder",
    "ladder_bisect",
    "max_once",
    "gradmax",
    "no_growth_at_final",
    "grid",
]


PAIR = 2


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """Which examples are used, and how they are split."""

    dataset: str = Field(
        default="digits",
        description="digits, mnist, fashion-mnist, cifar10, parquet:URI or "
        "factory:pkg.mod:function",
    )
    root: Path | None = Field(
        default=None,
        description="where torchvision data is or goes (default: user cache)",
    )
    per_class: int | Literal["all"] = Field(
        default="all", description="training examples per class, stratified and nested"
    )
    val_per_class: int | None = Field(
        default=None,
        ge=1,
        description="validation examples per class (default: per data set)",
    )
    subset_seed: int = Field(default=0, ge=0, description="seed of splits and subsets")
    memory_gb: float = Field(
        default=8.0,
        ge=0,
        description="Parquet features larger than this go to a file in data.root and "
        "are read from there as needed",
    )

    @model_validator(mode="after")
    def _check_per_class(self) -> "DataConfig":
        if self.per_class != "all" and self.per_class < 1:
            raise ValueError(
                f"data.per_class must be at least 1 or 'all', got {self.per_class}"
            )
        return self


class ModelConfig(Section):
    """Where the network starts and how large it may become."""

    kind: Literal["mlp", "conv"] = Field(
        default="mlp",
        description="family of networks: multi-layer perceptrons, or residual "
        "convolutional networks for images",
    )
    hidden: tuple[int, ...] = Field(
        default=(2,),
        description="starting widths, input first (conv: hidden channels of each "
        "stage's block, or one number for all)",
    )
    channels: tuple[int, ...] = Field(
        default=(16, 32, 64),
        min_length=1,
        description="conv: channels of the stream in each stage; between stages the "
        "image is halved",
    )
    patch: int = Field(
        default=1,
        ge=1,
        description="conv: side of the squares of pixels that are one position of the "
        "first stage; 2 takes a quarter of the time",
    )
    max_hidden: int = Field(
        default=1024, ge=1, description="cap on the width of a layer"
    )
    max_depth: int | None = Field(
        default=None,
        ge=1,
        description="cap on the hidden layers (conv: on the blocks of each stage; "
        "default: as many as at the start)",
    )
    activation: Activation = Field(
        default="silu",
        description="nonlinearity; layers can be inserted with rational and prelu, "
        "whose parameters are trained",
    )

    @model_validator(mode="after")
    def _check_widths(self) -> "ModelConfig":
        if min(self.hidden, default=1) < 1:
            raise ValueError(
                f"model.hidden needs one width of at least 1 per hidden layer, "
                f"got {list(self.hidden)}"
            )
        if max(self.hidden, default=1) > self.max_hidden:
            raise ValueError(
                f"model.hidden {list(self.hidden)} exceeds model.max_hidden "
                f"{self.max_hidden}; raise model.max_hidden or lower model.hidden"
            )
        return self

    @model_validator(mode="after")
    def _check_stages(self) -> "ModelConfig":
        if min(self.channels) < 1:
            raise ValueError(
                f"model.channels needs numbers of at least 1, got {list(self.channels)}"
            )
        stages, widths = len(self.channels), len(self.hidden)
        if self.kind == "conv" and widths != 1 and widths % stages:
            raise ValueError(
                f"model.hidden {list(self.hidden)} does not fit the {stages} stages of "
                f"model.channels {list(self.channels)}; give one width for all stages, "
                "or one for each"
            )
        return self

    @model_validator(mode="after")
    def _check_depth(self) -> "ModelConfig":
        if self.depth_cap < self.start_depth:
            raise ValueError(
                f"model.hidden {list(self.hidden)} has more layers (of a stage) than "
                f"model.max_depth {self.max_depth}; raise model.max_depth"
            )
        needs_identity = self.kind == "mlp" and self.may_deepen
        if needs_identity and self.activation not in REACHES_IDENTITY:
            raise ValueError(
                f"model.max_depth {self.depth_cap} above the {len(self.hidden)} hidden "
                f"layers of model.hidden lets layers be inserted, but model.activation "
                f"{self.activation} can never be the identity; use "
                f"{' or '.join(REACHES_IDENTITY)}, or leave model.max_depth out"
            )
        if not self.hidden and not self.may_deepen:
            raise ValueError(
                "model.hidden without any layer cannot grow; set model.max_depth to at "
                "least 1, or start with a width"
            )
        return self

    @property
    def depth_cap(self) -> int:
        """The most hidden layers (of each stage)."""
        return self.start_depth if self.max_depth is None else self.max_depth

    @property
    def start_depth(self) -> int:
        """The hidden layers (of each stage) at the start."""
        if self.kind == "mlp" or len(self.hidden) == 1:
            return len(self.hidden)
        return len(self.hidden) // len(self.channels)

    @property
    def may_deepen(self) -> bool:
        """Whether layers may be inserted at all."""
        return self.depth_cap > self.start_depth


class TrainConfig(Section):
    """How weights are trained; the same for growing and fixed runs."""

    optimizer: Literal["adamw", "natural"] = Field(
        default="adamw", description="adamw, or natural (K-FAC)"
    )
    lr: float = Field(default=3e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=1.0, ge=0, description="decoupled weight decay")
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
        description="last share of the steps, with falling rate",
    )
    evaluations: int = Field(
        default=40, ge=2, description="validation measurements per run"
    )
    precision: Literal["float32", "float64"] = Field(
        default="float32", description="of all arithmetic; float64 for checks"
    )


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
        default=0.05, ge=0, description="least held-out gain over the current score"
    )
    absolute_threshold: float = Field(
        default=0.001,
        gt=0,
        description="least promised drop of the loss, in nats (of a regression: in "
        "variances of the targets)",
    )
    removal_threshold: float = Field(
        default=0.0005, ge=0, description="neurons that cost less, in nats, are pruned"
    )
    significance: float = Field(
        default=2.0, ge=0, description="least held-out gain, in standard errors"
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
    ascent_steps: int = Field(default=10, ge=0, description="steps of score ascent")
    rank: int = Field(
        default=32, ge=1, description="input directions that candidates look at"
    )
    decision_examples: int | None = Field(
        default=None,
        ge=4,
        description="most training examples for one decision: a third to search on, "
        "the rest held out, of fewer examples half (default: 24576; 4096 for model.kind "
        "conv, which looks at many positions of each)",
    )
    share: Literal["auto", "examples", "candidates"] = Field(
        default="auto",
        description="how a gang divides the search: by examples (many small messages) "
        "or by candidates (one large one); auto takes what costs less on 10 Gbit/s",
    )
    check_every: int = Field(
        default=50, ge=1, description="steps between the first growth checks"
    )
    check_spacing: float = Field(
        default=0.25, ge=0, description="between later ones, over the steps so far"
    )
    max_additions: int = Field(
        default=16, ge=1, description="most additions in one check"
    )

    @model_validator(mode="after")
    def _check_hysteresis(self) -> "GrowthConfig":
        if self.removal_threshold >= self.absolute_threshold:
            raise ValueError(
                f"growth.removal_threshold {self.removal_threshold} must be below "
                f"growth.absolute_threshold {self.absolute_threshold}, or neurons "
                "would be added and pruned for ever"
            )
        return self


class BaselineConfig(Section):
    """The opponents: ways of choosing a fixed size by restarts."""

    arms: tuple[Arm, ...] = Field(
        default=("random", "tpe_pareto", "ladder_bisect", "max_once"),
        description="opponents of the self-expanding runs, and controls",
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
        default=3, ge=1, description="repeats of ladders and max_once; seeds of grid"
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


class ClusterConfig(Section):
    """Where runs are placed."""

    address: str | None = Field(
        default=None, description="Ray cluster to join (default: start one here)"
    )
    workers_per_run: int = Field(
        default=1, ge=1, description="replicas in the gang of a run"
    )
    max_parallel_runs: int | None = Field(
        default=None, ge=1, description="runs side by side (default: as many as fit)"
    )
    cpus_per_worker: int = Field(
        default=1, ge=1, description="CPU cores and threads a replica"
    )
    gpus_per_worker: float = Field(default=0.0, ge=0, description="GPUs a replica")
    placement: Literal["PACK", "SPREAD"] = Field(
        default="PACK",
        description="PACK: the replicas of a gang close together, SPREAD: apart",
    )
    spares: int = Field(
        default=0,
        ge=0,
        description="hot spares a gang: replicas that stand by for one that is lost",
    )
    max_recoveries: int = Field(
        default=3, ge=0, description="lost replicas that a run survives"
    )
    silence_s: float = Field(
        default=50.0, gt=0, description="seconds until a silent replica counts as lost"
    )
    replace_s: float = Field(
        default=120.0, gt=0, description="seconds to wait for a new replica"
    )
    shrink: bool = Field(
        default=False,
        description="go on with fewer replicas if a lost one is not replaced in time",
    )
    checkpoint_every_s: float = Field(
        default=60.0, gt=0, description="seconds between checkpoints of a growing run"
    )
    checkpoint_every_steps: int | None = Field(
        default=None, ge=1, description="steps between checkpoints (default: by time)"
    )


class BudgetConfig(Section):
    """How much a job may use in all; what is finished by then is its result."""

    device_hours: float | None = Field(
        default=None, gt=0, description="hours times replicas, of all runs together"
    )
    wall_hours: float | None = Field(
        default=None, gt=0, description="hours, without pauses between drivers"
    )


class OutputConfig(Section):
    """Where results go."""

    root: str = Field(
        default="runs",
        description="parent of run folders: a path, or a URI such as s3://BUCKET/PATH",
    )


class Config(Section):
    """All settings of a job."""

    seed: int = Field(
        default=0, ge=0, description="root seed; all others derive from it"
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    growth: GrowthConfig = GrowthConfig()
    baseline: BaselineConfig = BaselineConfig()
    compare: CompareConfig = CompareConfig()
    scan: ScanConfig = ScanConfig()
    cluster: ClusterConfig = ClusterConfig()
    budget: BudgetConfig = BudgetConfig()
    output: OutputConfig = OutputConfig()

    @model_validator(mode="after")
    def _check_optimizer(self) -> "Config":
        if self.train.optimizer == "natural" and self.model.kind == "conv":
            raise ValueError(
                "train.optimizer natural knows dense layers only, and model.kind is "
                "conv; use train.optimizer adamw"
            )
        if self.train.optimizer == "natural" and (
            self.model.activation in REACHES_IDENTITY
        ):
            raise ValueError(
                f"train.optimizer natural has no factors for the parameters of "
                f"model.activation {self.model.activation}; use train.optimizer adamw"
            )
        return self
