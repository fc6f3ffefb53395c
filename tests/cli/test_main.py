import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from senn_ray.analysis.results import GrowSummary, Summary, to_json
from senn_ray.analysis.summary import summarise
from senn_ray.cli.main import main, run
from senn_ray.core.errors import DataError, DivergedError, ResourceError
from senn_ray.core.events import JobStarted
from senn_ray.service import verbs
from tests.golden import journals

GROWN = summarise(journals.events("grow"))
SUMMARY = to_json(GROWN)
assert isinstance(GROWN, GrowSummary)
WIDTHS = f"→ {GROWN.runs[0].hidden[0]}"


@dataclass
class Job:
    """A double of a verb of ``senn_ray.service.verbs``."""

    exit_code: int = 0
    error: BaseException | None = None
    folder: str = ""
    summary: Summary = GROWN
    calls: list[Any] = field(default_factory=list)

    def __call__(self, *args, observe=None, **kwargs):
        self.calls.append((args, kwargs))
        sys.stdout.write("noise of a library\n")
        if observe:
            observe(JobStarted(verb="grow", config={}, versions={}, where="2 CPUs"))
        if self.folder:
            Path(self.folder).mkdir()
            Path(self.folder, "manifest.json").touch()
        if self.error:
            raise self.error
        return self


@pytest.fixture
def job(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    double = Job()
    for verb in ("grow", "compare", "scan", "submit"):
        monkeypatch.setattr(verbs, verb, double)
    return double


def test_an_interrupt_while_modules_load_is_one_line(tmp_path):
    (tmp_path / "cyclopts.py").write_text("raise KeyboardInterrupt")
    ended = subprocess.run(
        [sys.executable, "-m", "senn_ray", "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "senn-ray: interrupted\n")


def test_json_is_one_object_on_stdout_and_text_goes_to_stderr(job, capsys):
    assert run(["grow", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == SUMMARY
    assert WIDTHS in printed.err
    assert "noise" in printed.err
    assert len(job.calls) == 1


def test_without_json_people_read_stdout(job, capsys):
    assert run(["grow", "--seed", "3", "--seeds", "2", "--out", "here"]) == 0
    printed = capsys.readouterr()
    assert "grow on 2 CPUs" in printed.out
    assert WIDTHS in printed.out
    ((config,), keywords) = job.calls[0]
    assert config.seed == 3
    assert keywords.pop("executor")
    assert keywords == {"seeds": 2, "out": Path("here").absolute()}


def test_quiet_shows_the_result_only(job, capsys):
    assert run(["grow", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert "2 CPUs" not in printed.out + printed.err
    assert WIDTHS in printed.out
    assert job.calls


@pytest.mark.parametrize("code", [0, 5, 6])
def test_exit_codes_of_jobs_are_passed_on(job, code):
    job.exit_code = code
    assert run(["grow"]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("class 5 has\n too few"), 4),
        (ResourceError("no cluster"), 3),
        (DivergedError("loss is nan"), 6),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 3),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "data.parquet"), 4),
        (OSError(errno.EINVAL, "Invalid argument"), 1),
        (KeyError("surprise"), 1),
    ],
)
def test_errors_are_one_line_and_a_code(job, capsys, error, code):
    job.error = error
    assert run(["grow", "--quiet"]) == code
    printed = capsys.readouterr().err
    assert printed.startswith("senn-ray: ")
    assert printed.count("\n") == 1


def test_tracebacks_are_for_debug_only(job, capsys):
    job.error = KeyError("surprise")
    assert run(["grow", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("inside", [True, False], ids=["told by app", "raised"])
def test_an_interrupt_says_where_results_are(job, capsys, inside):
    if inside:
        job.exit_code = 130
    else:
        job.error, job.folder = KeyboardInterrupt(), "here"
    assert run(["grow", "--out", "here"]) == 130
    printed = capsys.readouterr().err
    assert re.search(r"interrupted; what is finished is in \S+/here: senn-ray", printed)


@pytest.mark.parametrize("verb", ["grow", "compare", "scan"])
def test_an_interrupt_before_there_is_a_job_advises_no_resuming(job, capsys, verb):
    job.error = KeyboardInterrupt()
    assert run([verb, "--out", "here", "--quiet"]) == 130
    printed = capsys.readouterr().err
    assert "interrupted before the job began" in printed
    assert "senn-ray resume" not in printed


def test_a_folder_with_files_is_refused_before_work(job, capsys, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    assert run(["compare", "--out", "old"]) == 2
    assert "old" in capsys.readouterr().err
    assert job.calls == []


def test_a_scan_gets_its_sizes(job, capsys):
    job.exit_code = 6
    assert run(["scan", "--scan.per-class", "10,all", "--json"]) == 6
    assert json.loads(capsys.readouterr().out) == SUMMARY
    ((config,), _) = job.calls[0]
    assert config.scan.per_class == (10, "all")


def test_submit_passes_the_verb_on_unread(job, monkeypatch):
    monkeypatch.setattr(
        verbs, "submit", lambda *args, **kwargs: job(*args, **kwargs) and 6
    )
    words = [
        "scan",
        "--config",
        "far.yaml",
        "--no.such",
        "-c",
        "x",
        "--json",
        "--",
        "y",
    ]
    assert run(["submit", "--address", "http://head:8265", "--", *words]) == 6
    given = {"environment": {}, "working_dir": Path()}
    assert job.calls == [(("http://head:8265", words), given)]


def test_submit_needs_a_verb(job, capsys):
    assert run(["submit", "--address", "http://head:8265"]) == 2
    assert "submit needs a verb" in capsys.readouterr().err
    assert job.calls == []


@pytest.mark.parametrize(
    ("failed", "code"), [(None, 0), ("output", 2), ("data", 4), ("cluster", 3)]
)
def test_doctor_names_what_is_ill(monkeypatch, capsys, failed, code):
    names = ("versions", "output", "data", "cluster")
    checks = [(name, name != failed, f"{name} [text]") for name in names]
    monkeypatch.setattr(verbs, "doctor", lambda _config: checks)
    assert run(["doctor"]) == code
    shown = capsys.readouterr().out
    assert shown.count("✗") == (failed is not None)
    assert "cluster [text]" in shown
    assert run(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)[0] == {
        "check": "versions",
        "ok": True,
        "detail": "versions [text]",
    }


def test_report_shows_the_rebuilt_summary(monkeypatch, capsys, tmp_path):
    def rebuild(run, *, trust):
        assert not trust
        (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
        return f"{run}/report/index.html"

    monkeypatch.setattr(verbs, "report", rebuild)
    assert run(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SUMMARY


def test_unknown_verbs_get_a_suggestion(capsys):
    assert run(["gro"]) == 2
    assert 'Did you mean "grow"?' in capsys.readouterr().err


def test_the_schema_is_json(capsys):
    assert run(["config", "schema"]) == 0
    assert "DataConfig" in json.loads(capsys.readouterr().out)["$defs"]


def test_settings_are_shown_as_a_file_of_settings(capsys, tmp_path):
    assert run(["config", "show", "--seed", "4"]) == 0
    (tmp_path / "a.yaml").write_text(capsys.readouterr().out)
    assert run(["config", "show", "--json", "-c", str(tmp_path / "a.yaml")]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4


def test_main_leaves_with_the_code():
    with pytest.raises(SystemExit) as left:
        main(["gro"])
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        (["--help"], subprocess.PIPE),
        (["config", "show"], subprocess.PIPE),
        (["config", "schema"], subprocess.PIPE),
        (["init"], subprocess.PIPE),
        (["gro"], subprocess.STDOUT),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_reader_that_has_seen_enough_ends_it_quietly(words, stderr, tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "senn_ray", *words]
    # As from a shell: this variable would leave nothing in the buffers.
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, stdout=theirs, stderr=stderr, cwd=tmp_path, env=buffered, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr or b"") == (128 + signal.SIGPIPE, b"")


def test_a_connection_that_broke_is_no_reader_that_has_gone(job, capsys):
    job.error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert run(["grow", "--quiet"]) == 3
    assert "the connection was lost" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["grow", "--help"], ["config", "show"]])
def test_help_loads_neither_torch_nor_ray(words):
    script = (
        "import sys; from senn_ray.cli.main import run; "
        f"assert run({words!r}) == 0; "
        "heavy = {'torch', 'ray', 'optuna', 'scipy', 'matplotlib', 'pyarrow'}; "
        "loaded = heavy & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
