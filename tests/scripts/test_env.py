"""scripts/env without a network: what uv is told of pip's settings, and its failure."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands for Python (here and in .venv) and for uv, and notes how it was called.
FAKE = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$FAKE/calls"
case "$(basename "$0") $*" in
  *"-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  *"pip config list"*) printf "%s" "$FAKE_SETTINGS" ;;
  *"pip install"*" uv") [[ -z "${FAKE_NO_UV:-}" ]] && cp "$0" "$(dirname "$0")/uv" ;;
  "uv "*) env >"$FAKE/env"; exit "${FAKE_UV_EXIT:-0}" ;;
  *"pip install"*) exit "${FAKE_PIP_EXIT:-0}" ;;
esac
"""
# Nothing of the machine that runs the tests may reach the script.
LEFT_OUT = ("PIP_", "UV_", "SSL_", "REQUESTS_", "CURL_", "HTTP", "http")


class Env:
    """A clone with a fake Python, in which ``scripts/env`` can be run."""

    def __init__(self, folder: Path) -> None:
        self.root, self.notes = folder / "clone", folder / "notes"
        (self.root / "scripts").mkdir(parents=True)
        self.notes.mkdir()
        for name in ("scripts/env", "pyproject.toml", "requirements.lock.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.python = folder / "python3"
        self.python.write_text(FAKE)
        self.python.chmod(0o755)

    def run(self, settings: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(LEFT_OUT)}
        given = {
            "PYTHON": str(self.python),
            "FAKE": str(self.notes),
            "FAKE_SETTINGS": settings,
        }
        return subprocess.run(
            [str(self.root / "scripts" / "env")],
            env=kept | given | more,
            capture_output=True,
            text=True,
            check=False,
        )

    def seen_by_uv(self) -> dict[str, str]:
        lines = (self.notes / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def calls(self) -> list[str]:
        return (self.notes / "calls").read_text().splitlines()


@pytest.fixture
def env(tmp_path: Path) -> Env:
    return Env(tmp_path)


def test_uv_gets_what_pip_is_told_in_its_files_and_variables(
    env: Env, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").touch()
    settings = rf"""
global.extra-index-url='\nhttps://two/simple\nhttps://three/simple'
global.find-links='/a /b'
global.index-url='https://no/simple'
global.proxy='http://proxy:1'
install.trusted-host='one two'
install.index-url='https://one/simple?x=1'
:env:.cert='{tmp_path}/ca.pem'
"""
    assert env.run(settings).returncode == 0
    seen = env.seen_by_uv()
    assert seen["UV_DEFAULT_INDEX"] == "https://one/simple?x=1"
    assert seen["UV_INDEX"] == "https://two/simple https://three/simple"
    assert seen["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert seen["UV_FIND_LINKS"] == "/a,/b"
    assert seen["UV_INSECURE_HOST"] == "one two"
    assert seen["SSL_CERT_FILE"] == f"{tmp_path}/ca.pem"
    assert seen["HTTPS_PROXY"] == seen["HTTP_PROXY"] == "http://proxy:1"


@pytest.mark.parametrize("name", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_authority_by_any_variable_of_pip_reaches_uv(
    env: Env, tmp_path: Path, name: str
) -> None:
    (tmp_path / "ca.pem").touch()
    path = str(tmp_path / "ca.pem")
    settings = f":env:.cert='{path}'\n" if name == "PIP_CERT" else ""
    assert env.run(settings, **{name: path}).returncode == 0
    assert env.seen_by_uv()["SSL_CERT_FILE"] == path


def test_without_a_certificate_uv_trusts_those_of_the_system_as_pip_does(
    env: Env,
) -> None:
    assert env.run().returncode == 0
    seen = env.seen_by_uv()
    assert seen["UV_SYSTEM_CERTS"] == "true"
    assert not {"SSL_CERT_FILE", "UV_INDEX", "UV_INDEX_STRATEGY"} & set(seen)


def test_what_the_user_tells_uv_wins(env: Env, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    told = {
        "UV_INDEX_URL": "https://mine/simple",
        "UV_EXTRA_INDEX_URL": "https://mine/more",
        "SSL_CERT_FILE": "/mine.pem",
    }
    settings = (
        "global.index-url='https://pip/simple'\nglobal.extra-index-url='https://pip'\n"
        f"global.cert='{tmp_path}/ca.pem'\n"
    )
    assert env.run(settings, **told).returncode == 0
    seen = env.seen_by_uv()
    assert seen.items() >= told.items()
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX"} & set(seen)


@pytest.mark.parametrize("fault", [{"FAKE_UV_EXIT": "2"}, {"FAKE_NO_UV": "1"}])
def test_pip_installs_where_uv_fails_or_is_not_to_be_had(
    env: Env, fault: dict[str, str]
) -> None:
    done = env.run(**fault)
    assert done.returncode == 0, done.stderr
    assert "pip" in done.stderr
    by_pip = [call for call in env.calls() if call.startswith("python -m pip install")]
    assert any("--requirement" in call for call in by_pip)
    assert any("--editable" in call for call in by_pip)
    before = len(env.calls())
    assert env.run(**fault).returncode == 0
    assert len(env.calls()) == before  # nothing has changed, so nothing is done


def test_a_failure_of_both_is_told_and_tried_again_the_next_time(env: Env) -> None:
    assert env.run(FAKE_UV_EXIT="2", FAKE_PIP_EXIT="1").returncode != 0
    assert env.run().returncode == 0
    assert env.calls()[-1].startswith("uv pip install")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_has_nothing_to_say() -> None:
    subprocess.run(["shellcheck", ROOT / "scripts" / "env"], check=True)
