"""Settings: one frozen pydantic model, shared by every verb.

Keys are ``section.key``; each is also a flag (``--section.key``) and an environment
variable (``SENN_RAY_SECTION_KEY``). Units are in the names or the descriptions.
"""

from pydantic import Field, model_validator

from senn_ray.config.comparison import BaselineConfig, CompareConfig, ScanConfig
from senn_ray.config.data import DataConfig
from senn_ray.config.front import FrontConfig
from senn_ray.config.model import REACHES_IDENTITY, Activation, ModelConfig
from senn_ray.config.removed import REMOVED, without_removed
from senn_ray.config.running import BudgetConfig, ClusterConfig, OutputConfig
from senn_ray.config.section import Section
from senn_ray.config.training import GrowthConfig, TrainConfig

__all__ = [
    "REACHES_IDENTITY",
    "REMOVED",
    "Activation",
    "BaselineConfig",
    "BudgetConfig",
    "ClusterConfig",
    "CompareConfig",
    "Config",
    "DataConfig",
    "FrontConfig",
    "GrowthConfig",
    "ModelConfig",
    "OutputConfig",
    "ScanConfig",
    "Section",
    "TrainConfig",
    "without_removed",
]


class Config(Section):
    """All settings of a job."""

    seed: int = Field(
        default=0, ge=0, description="root seed; all others derive from it"
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    growth: GrowthConfig = GrowthConfig()
    front: FrontConfig = FrontConfig()
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
        if self.growth.curvature == "exact" and self.model.kind == "conv":
            raise ValueError(
                "growth.curvature exact is for dense layers; model.kind conv measures "
                "its steps from random signs, so use growth.curvature sampled or auto"
            )
        if self.train.optimizer == "natural" and (
            self.model.activation in REACHES_IDENTITY
        ):
            raise ValueError(
                f"train.optimizer natural has no factors for the parameters of "
                f"model.activation {self.model.activation}; use train.optimizer adamw"
            )
        return self
