"""The public API: names, types, and an import that costs nothing."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import senn_ray as sr
from senn_ray.core.versions import versions

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sr.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(sr, name)
    assert name in dir(sr)
    if name != "__version__":
        assert inspect.getdoc(found)
        assert found.__module__.startswith("senn_ray.")


def test_other_names_are_not() -> None:
    assert sr.__version__ == versions()["senn-ray"]
    with pytest.raises(AttributeError, match="no attribute 'Grow'"):
        sr.Grow  # noqa: B018


def test_the_import_loads_neither_torch_nor_ray_nor_optuna() -> None:
    script = (
        "import sys, senn_ray as sr; sr.grow; sr.Config(); sr.SennRayError;"
        "heavy = {'torch', 'ray', 'scipy', 'optuna', 'matplotlib'};"
        "sys.exit(' '.join(heavy & {*sys.modules}) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_types_are_part_of_the_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = settings["tool"]["setuptools"]["package-data"]
    assert data["senn_ray"] == ["py.typed"]
    assert (ROOT / "senn_ray/py.typed").is_file()
