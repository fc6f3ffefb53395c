"""An exported convolutional network works where senn-ray is not installed."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from senn_ray.config import Activation, DataConfig, GrowthConfig, ModelConfig
from senn_ray.config import TrainConfig as Train
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.datasets import load
from senn_ray.data.standardisation import Inputs
from senn_ray.export.export import export
from senn_ray.export.portable import portable
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.conv import ConvArchitecture, build
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.mlp import build as build_mlp
from senn_ray.runs.run import train_run

RAW = load(DataConfig(dataset="digits"))
INPUTS = Inputs(
    task="classification",
    feature_shape=(2, 4, 4),
    feature_dtype="float32",
    shift=torch.tensor([0.5]),
    scale=torch.tensor([2.0]),
)

# Run where senn-ray cannot be imported, after the code of the model card.
AFTERWARDS = """
import numpy as np
data = np.load("data.npz")
x, y = torch.from_numpy(data["x"]).float(), torch.from_numpy(data["y"])
outputs = model(x)
assert torch.allclose(model(x[:1]), outputs[:1], atol=1e-4)
print(torch.nn.functional.cross_entropy(outputs, y).item())
"""
BLOCKED = "import sys; sys.modules['senn_ray'] = None\n"


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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    folder = tmp_path_factory.mktemp("export")
    spec = RunSpec(
        run_id="conv",
        arm="senn",
        kind="grow",
        seed=0,
        data=DataConfig(dataset="digits"),
        model=ModelConfig(kind="conv", channels=(4, 6), hidden=(3, 2)),
        train=Train(min_steps=20, epochs=1, evaluations=2),
        growth=GrowthConfig(),
        evaluate_test=True,
        checkpoint=str(folder / "final.pt"),
    )
    spec = dataclasses.replace(spec, kind="fixed")
    record = train_run(spec, RAW)
    export(record, folder / "final.pt", RAW, folder / "model")
    np.savez(folder / "model" / "data.npz", x=RAW.test_x, y=RAW.test_y)
    return folder / "model", record


@pytest.mark.slow
@pytest.mark.parametrize("way", [0, 1], ids=["program", "weights"])
def test_the_card_of_a_convolutional_network_tells_how_to_load_it(
    exported: tuple[Path, RunRecord], way: int
) -> None:
    folder, record = exported
    card = (folder / "MODEL_CARD.md").read_text()
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[way]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code + AFTERWARDS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(
        record.test_loss, rel=1e-4
    )
