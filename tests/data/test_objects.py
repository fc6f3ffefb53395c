"""What factories return: every usual form is read, or refused with the user's line."""

from pathlib import Path

import numpy as np
import pytest

from senn_ray.core.errors import ConfigError, DataError
from tests.data.made import blobs, read, said

BEGIN = """
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, TensorDataset
from tests.data.made import blobs

(x, y), (tx, ty) = blobs(150, 0), blobs(60, 1)
WORDS = np.array(["a", "b", "c"])


def frame(x, y):
    return pa.table({**{f"f{i}": x[:, i] for i in range(4)}, "label": y})


class Sparse:
    def __init__(self, x):
        self.x, self.shape = x, x.shape

    def toarray(self):
        return self.x


def tensors(x, y):
    return TensorDataset(torch.tensor(x), torch.tensor(y))


def load():
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def inner(body: str, begin: str = BEGIN, name: str = "theirs") -> str:
        module = f"{name}_{abs(hash((body, str(tmp_path))))}"
        (tmp_path / f"{module}.py").write_text(begin + f"    {body}\n")
        return f"factory:{module}:load"

    return inner


@pytest.mark.parametrize(
    "body",
    [
        "return (x, y), (tx, ty)",
        "return x, y, tx, ty",
        "return [x, y], [tx, ty]",
        "return {'train': (x, y), 'test': (tx, ty)}",
        "return (x, y[:, None]), (tx, ty[:, None])",
        "return (x, WORDS[y]), (tx, WORDS[ty])",
        "return (torch.tensor(x), torch.tensor(y)), (torch.tensor(tx), torch.tensor(ty))",
        "return (Sparse(x), y), (Sparse(tx), ty)",
        "return tensors(x, y), tensors(tx, ty)",
        "return [DataLoader(d, batch_size=7) for d in (tensors(x, y), tensors(tx, ty))]",
        "return frame(x, y), frame(tx, ty)",
        "return (frame(x, y).drop(['label']), y), (frame(tx, ty).drop(['label']), ty)",
        "return list(zip(x, y)), list(zip(tx, ty))",
    ],
)
def test_every_usual_form_is_the_same_data(factory, body: str) -> None:
    raw = read(factory(body))
    assert (raw.feature_shape, len(raw.train_y)) == ((4,), 150)
    np.testing.assert_allclose(raw.test_x, blobs(60, 1)[0], rtol=1e-6)
    np.testing.assert_array_equal(raw.test_y, blobs(60, 1)[1])


@pytest.mark.parametrize(
    "body", ["return x, y", "return frame(x, y)", "return tensors(x, y)"]
)
def test_one_part_is_divided(factory, body: str) -> None:
    raw = read(factory(body))
    assert (len(raw.train_y), len(raw.test_y)) == (120, 30)
    assert "30 of 150 examples are kept" in said(raw)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x, tx, y, ty", r"order of train_test_split.*\(X_test, y_test\)"),
        ("return 1, 2, 3", "it returned 3 things"),
        ("return None", "must return"),
        ("return unknown", r"NameError: name 'unknown'.*line \d+: return unknown\)"),
        (
            "raise SystemExit('usage')",
            r"SystemExit: usage .*line \d+: raise SystemExit",
        ),
        ("return frame(x, y), (tx, ty)", "one part is a table and the other is not"),
        ("return (x, y), (tx[:, :2], ty)", "4 features, a test example 2"),
        ("return (x, y[:9]), (tx, ty)", "150 examples and 9 labels"),
    ],
)
def test_what_is_wrong_is_said_with_the_users_line(
    factory, body: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(factory(body))


def test_mistakes_of_syntax_are_told_with_their_line(factory) -> None:
    with pytest.raises(ConfigError, match=r"SyntaxError.*line 1: def load\(\)"):
        read(factory("return 1", begin="def load()\n"))


def test_images_with_channels_last_are_turned(factory) -> None:
    make = "np.random.default_rng({}).integers(0, 9, ({}, 5, 6, 3)).astype('u1')"
    body = f"return ({make.format(0, 90)}, y[:90]), ({make.format(1, 40)}, ty[:40])"
    raw = read(factory(body))
    assert raw.feature_shape == (3, 5, 6)
    assert "turned to channels first: [3, 5, 6]" in said(raw)


def test_a_file_here_goes_before_a_module_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import code

    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(BEGIN + "    return (x, y), (tx, ty)\n")
    assert len(read("factory:code:load").train_y) == 150
    import sys

    assert sys.modules["code"] is code
