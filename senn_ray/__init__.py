"""Self-expanding neural networks as a Ray-based architecture-search service.

``import senn_ray as sr`` gives the verbs of the command line as functions, the settings,
what the verbs return, and the errors. These names are public; all modules are private.
Names are looked up when they are first used, so that the import costs nothing.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from senn_ray.analysis.results import (
        CompareSummary,
        GrowSummary,
        JobStatus,
        MatchResult,
        PickResult,
        ScanSummary,
    )
    from senn_ray.config import (
        BaselineConfig,
        BudgetConfig,
        ClusterConfig,
        CompareConfig,
        Config,
        DataConfig,
        GrowthConfig,
        ModelConfig,
        OutputConfig,
        ScanConfig,
        TrainConfig,
    )
    from senn_ray.config.effects import NoEffectWarning
    from senn_ray.core.errors import (
        BudgetError,
        ClusterLostError,
        ConfigError,
        DataError,
        ResourceError,
        SennRayError,
    )
    from senn_ray.service.verbs import (
        JobResult,
        compare,
        doctor,
        export,
        grow,
        in_process,
        match,
        pick,
        plan,
        predict,
        report,
        rerun,
        resume,
        scan,
        status,
        stop,
        submit,
        watch,
    )

    __version__: str

__all__ = [
    "BaselineConfig",
    "BudgetConfig",
    "BudgetError",
    "ClusterConfig",
    "ClusterLostError",
    "CompareConfig",
    "CompareSummary",
    "Config",
    "ConfigError",
    "DataConfig",
    "DataError",
    "GrowSummary",
    "GrowthConfig",
    "JobResult",
    "JobStatus",
    "MatchResult",
    "ModelConfig",
    "NoEffectWarning",
    "OutputConfig",
    "PickResult",
    "ResourceError",
    "ScanConfig",
    "ScanSummary",
    "SennRayError",
    "TrainConfig",
    "__version__",
    "compare",
    "doctor",
    "export",
    "grow",
    "in_process",
    "match",
    "pick",
    "plan",
    "predict",
    "report",
    "rerun",
    "resume",
    "scan",
    "status",
    "stop",
    "submit",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from senn_ray.core.versions import versions

        return versions()["senn-ray"]
    if name not in __all__:
        raise AttributeError(f"module 'senn_ray' has no attribute {name!r}")
    if name.endswith("Config"):
        home = "senn_ray.config"
    elif name.endswith("Error"):
        home = "senn_ray.core.errors"
    elif name.endswith("Warning"):
        home = "senn_ray.config.effects"
    elif name.endswith("Summary") or name in {"JobStatus", "MatchResult", "PickResult"}:
        home = "senn_ray.analysis.results"
    else:
        home = "senn_ray.service.verbs"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """This package, whose verbs ``export`` and ``report`` are not its rooms."""

    def __setattr__(self, name: str, value: object) -> None:
        # Importing a room would put the module in the place of the verb of its name.
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
