"""Run the code of a model card where senn-ray cannot be imported."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from senn_ray.data.examples import RawData


def blocks(folder: Path) -> list[str]:
    card = (folder / "MODEL_CARD.md").read_text()
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


@torch.no_grad()
def measure_blocks(folder: Path, raw: RawData) -> list[tuple[float, float]]:
    """Return test loss and accuracy of the model that each block of code makes."""
    x, y = torch.from_numpy(raw.test_x).float(), torch.from_numpy(raw.test_y)
    measured = []
    with pytest.MonkeyPatch.context() as patch:
        # A module that is None cannot be imported: senn-ray is as good as not there.
        for name in [name for name in sys.modules if name.startswith("senn_ray")]:
            patch.setitem(sys.modules, name, None)
        patch.chdir(folder)
        for code in blocks(folder):
            scope: dict[str, Any] = {}
            exec(code, scope)
            model = scope["model"]
            outputs = model(x)
            assert torch.allclose(model(x[:1]), outputs[:1], atol=1e-4)
            loss = torch.nn.functional.cross_entropy(outputs, y).item()
            right = (outputs.argmax(1) == y).float().mean().item()
            measured.append((loss, right))
    return measured
