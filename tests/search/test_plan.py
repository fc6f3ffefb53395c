"""What a verb refuses before anything starts."""

import pytest

from senn_ray.config import Config, ModelConfig, ScanConfig
from senn_ray.core.errors import ConfigError
from senn_ray.search.specs import check_settings

DEEPER = ModelConfig(hidden=(2,), max_depth=2, activation="rational")


@pytest.mark.parametrize(
    "model", [ModelConfig(hidden=(2, 2)), DEEPER, ModelConfig(kind="conv", hidden=(4,))]
)
def test_widths_are_searched_for_networks_that_stay_at_one_hidden_layer(
    model: ModelConfig,
) -> None:
    config = Config(model=model)
    with pytest.raises(ConfigError, match="compare searches the width of one hidden"):
        check_settings("compare", config)
    check_settings("grow", config)
    check_settings("scan", config)
    with pytest.raises(ConfigError, match=r"scan\.oracle tries widths of one hidden"):
        check_settings("scan", Config(model=model, scan=ScanConfig(oracle=("all",))))
    check_settings("compare", Config())
