"""Settings of where runs are placed, when they stop and where results go."""

from typing import Literal

from pydantic import Field

from senn_ray.config.section import Section


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
    placement: Literal["PACK", "SPREAD", "STRICT_SPREAD"] = Field(
        default="PACK",
        description="PACK: the replicas of a gang close together, SPREAD: apart, "
        "STRICT_SPREAD: each on a node of its own",
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
    wait_for_workers_s: float = Field(
        default=30.0,
        ge=0,
        description="seconds to wait for nodes on which a run fits, of a cluster that is joined",
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
