"""An exported convolutional network works where senn-ray is not installed."""

from pathlib import Path

import pytest
import torch

from senn_ray.config import Activation, DataConfig, GrowthConfig, ModelConfig
from senn_ray.config import TrainConfig as Train
from senn_ray.core.records import RunSpec
from senn_ray.data.datasets import load
from senn_ray.data.standardisation import Inputs
from senn_ray.export.export import export
from senn_ray.export.portable import portable
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.conv import ConvArchitecture, build
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.mlp import build as build_mlp
from senn_ray.runs.run import train_run
from tests.export.cards import measure_blocks

RAW = load(DataConfig(dataset="digits"))
INPUTS = Inputs(
    task="classification",
    feature_shape=(2, 4, 4),
    feature_dtype="float32",
    shift=torch.tensor([0.5]),
    scale=torch.tensor([2.0]),
)


@pytest.mark.parametrize("activation", list(FAMILIES))
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_the_plain_module_computes_what_the_network_does(
    activation: Activation, kind: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    net = (
        build(
            ConvArchitecture(
                image=(2, 4, 4),
                patch=2,
                channels=(3, 4),
                blocks=((2, 3), (1,)),
                num_outputs=3,
                activation=activation,
            ),
            generator,
        )
        if kind == "conv"
        else build_mlp(
            DenseArchitecture(
                num_inputs=32, hidden=(4, 3), num_outputs=3, activation=activation
            ),
            generator,
        )
    )
    with torch.no_grad():
        for tensor in net.parts:
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    x = torch.randn(7, 32, generator=generator)
    expected = net((x - 0.5) / 2)
    torch.testing.assert_close(portable(net, INPUTS)(x), expected, rtol=1e-5, atol=1e-5)


def test_the_card_of_a_convolutional_network_tells_how_to_load_it(
    tmp_path: Path,
) -> None:
    spec = RunSpec(
        run_id="conv",
        arm="senn",
        kind="fixed",
        seed=0,
        data=DataConfig(dataset="digits"),
        model=ModelConfig(kind="conv", channels=(4, 6), hidden=(3, 2)),
        train=Train(min_steps=20, epochs=1, evaluations=2),
        growth=GrowthConfig(),
        evaluate_test=True,
        checkpoint=str(tmp_path / "final.pt"),
    )
    record = train_run(spec, RAW)
    export(record, tmp_path / "final.pt", RAW, tmp_path / "model")
    measured = measure_blocks(tmp_path / "model", RAW)
    assert len(measured) == 2
    for loss, _ in measured:
        assert loss == pytest.approx(record.test_loss, rel=1e-4)
