from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senn_ray.core.errors import DataError
from senn_ray.core.names import inside, plain

HOSTILE = [
    "..",
    ".",
    "",
    "/etc",
    "../x",
    "a/../../x",
    "a//b",
    "a\\b",
    "a\0",
    "a\n",
    "x" * 999,
]


@pytest.mark.parametrize("name", ["senn-0-000", "tpe_pareto-1-004", "grid-0-1", "ü b"])
def test_names_of_runs_are_names(name: str) -> None:
    assert plain(name) == name
    assert inside(Path("a"), name) == Path("a", name)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError):
        plain(name)
    with pytest.raises(DataError):
        inside(tmp_path, name)


@given(st.text(alphabet="a./\\\0~", max_size=8))
def test_whatever_is_let_in_stays_in_the_folder(name: str) -> None:
    folder = Path("/nowhere/run")
    try:
        found = inside(folder, name)
    except DataError:
        return
    assert found.resolve().is_relative_to(folder)
    assert found.resolve() != folder


def test_a_link_that_leads_out_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    (tmp_path / "run" / "kept").mkdir(parents=True)
    (tmp_path / "run" / "in").symlink_to("kept")
    (tmp_path / "run" / "out").symlink_to(tmp_path)
    assert inside(tmp_path / "run", "in/a") == tmp_path / "run" / "in" / "a"
    with pytest.raises(DataError, match="remove that link"):
        inside(tmp_path / "run", "out/a")
