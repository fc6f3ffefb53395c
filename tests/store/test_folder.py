import json
import shutil
from pathlib import Path

import pytest

import senn_ray
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.core.versions import code_hash, versions
from senn_ray.search.plan import Plan
from senn_ray.search.protocol import freeze
from senn_ray.store import folder, locations

PLAN = Plan(verb="compare", config=Config())


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        locations.choose(tmp_path, Config(), "grow")
    with pytest.raises(ConfigError, match="is a file"):
        locations.choose(tmp_path / "mine", Config(), "grow")
    assert (tmp_path / "mine").read_text() == "keep"


def test_new_and_empty_folders_are_taken_as_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locations.choose(tmp_path, Config(), "grow") == tmp_path
    assert locations.choose(Path("new"), Config(), "grow") == tmp_path / "new"
    default = Path(locations.choose(None, Config(), "grow"))
    assert default.parent == tmp_path / "runs"
    assert default.name.startswith("grow-digits-")


def test_the_folder_begins_with_settings_protocol_and_manifest(tmp_path: Path) -> None:
    frozen = freeze(PLAN, data_sha256="0")
    folder.create(tmp_path / "a" / "b", PLAN, frozen)
    assert json.loads((tmp_path / "a/b/protocol.json").read_text()) == frozen
    manifest = json.loads((tmp_path / "a/b/manifest.json").read_text())
    assert manifest["state"] == "running"
    assert manifest["protocol_id"] == frozen["protocol_id"]
    folder.set_state(tmp_path / "a" / "b", "complete")
    manifest = json.loads((tmp_path / "a/b/manifest.json").read_text())
    assert manifest["state"] == "complete"


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        folder.create(tmp_path / "file" / "run", PLAN, {"protocol_id": "0"})
    with pytest.raises(ConfigError, match=r"output\.root"):
        locations.check_writable(tmp_path / "file" / "run")


def test_the_protocol_changes_with_any_setting_and_with_the_data() -> None:
    ids = {freeze(PLAN, data_sha256="0")["protocol_id"]}
    ids.add(freeze(PLAN, data_sha256="1")["protocol_id"])
    for change in ({"seed": 1}, {"data": {"per_class": 30}}, {"train": {"lr": 0.1}}):
        plan = Plan(verb="compare", config=Config.model_validate(change))
        ids.add(freeze(plan, data_sha256="0")["protocol_id"])
    assert len(ids) == 5


def test_the_protocol_has_the_seed_the_network_and_the_split() -> None:
    frozen = freeze(PLAN, data_sha256="0", split={"sha256": "1"})
    assert frozen["seed"] == PLAN.config.seed
    assert frozen["model"] == PLAN.config.model.model_dump(mode="json")
    assert frozen["split"] == {"sha256": "1"}


def test_the_hash_of_the_code_sees_every_name_and_byte(tmp_path: Path) -> None:
    seen = set[str]()
    for number, (name, text) in enumerate([
        ("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 1"), ("c/a.py", "x = 1"),
    ]):  # fmt: skip
        package = tmp_path / str(number)
        (package / "c").mkdir(parents=True)
        (package / name).write_text(text)
        (package / "notes.txt").write_text(str(number))
        seen.add(code_hash(package))
        twin = tmp_path / f"twin-{number}"
        shutil.copytree(package, twin)
        assert code_hash(twin) == code_hash(package)
    assert len(seen) == 4
    assert versions()["code"] == code_hash(Path(senn_ray.__path__[0]))
