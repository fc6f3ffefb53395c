"""The documents tell the truth that a machine can check: links, commands, names."""

import ast
import contextlib
import functools
import gzip
import io
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from senn_ray.cli import main
from senn_ray.config import REMOVED, Config, DataConfig
from senn_ray.data import datasets
from senn_ray.service import verbs as jobs
from tests.service.test_verbs import TINY, settings
from tests.test_floors import FLOORS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "senn_ray"
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
    *sorted(ROOT.glob("docs/*.md")),
]
TOP = ["senn_ray", "scripts", "cluster", "tests", "docs", ".ci", ".github"]
CODE = re.compile(
    r"```(?P<info>[^\n]*)\n(?P<fence>.*?)^```|`(?P<span>[^`\n]+)`", re.S | re.M
)
INDENTED = re.compile(r"^ {4,}(?=\S)(?P<line>.*)$", re.M)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.M)


def text_of(page: Path) -> str:
    # A command may go on in the next line.
    return re.sub(r"\\\n\s+", "", page.read_text(encoding="utf-8"))


def code(page: Path) -> list[str]:
    """Return the lines of code of a page: indented, fenced, and spans."""
    text = text_of(page)
    found = [m["span"] or m["fence"] for m in CODE.finditer(text)]
    found += [m["line"] for m in INDENTED.finditer(CODE.sub("", text))]
    return [line.strip() for part in found for line in part.splitlines()]


def spans(page: Path) -> list[str]:
    return [m["span"] for m in CODE.finditer(text_of(page)) if m["span"]]


def commands(page: Path) -> list[list[str]]:
    """Return the words of every senn-ray command of a page."""
    found = []
    for line in code(page):
        for part in re.split(r";|&&|`", line.partition("  #")[0]):
            words = shlex.split(part.replace("'", ""), comments=False)
            words = [word.removeprefix(".venv/bin/") for word in words]
            if words[:3] == ["python", "-u", "-m"]:
                words = ["senn-ray", *words[4:]]
            if words[:1] == ["senn-ray"] and words[1:]:
                found.append(words[1:])
    return found


def keys(model: type[BaseModel] = Config, prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys(kind, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


@functools.cache
def help_of(*verb: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main.run([*verb, "--help"])
    return out.getvalue()


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.fixture(scope="module")
def verbs() -> set[str]:
    return set(re.findall(r"^│ ([a-z]+) ", help_of(), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        path = (page.parent / target) if target else page
        assert path.exists(), match.group()
        if anchor:
            headings = HEADING.findall(path.read_text(encoding="utf-8"))
            assert anchor in map(slug, headings), match.group()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_verbs_and_flags_that_exist(page, verbs):
    for words in commands(page):
        sections = [words]
        if "--" in words:
            cut = words.index("--")
            sections = [words[:cut], words[cut + 1 :]]
        for verb, *rest in sections:
            if verb.isupper() or verb.startswith("-"):
                continue  # VERB stands for any.
            assert verb in verbs, f"senn-ray {verb}"
            for word in rest:
                flag = word.partition("=")[0].replace("_", "-")
                if flag.startswith("--"):
                    assert re.search(rf"{flag}(?![\w.-])", help_of(verb)), (verb, flag)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_named_exist(page):
    # What is gone may be named where changes are told.
    known = keys() | set(REMOVED if page.name == "CHANGELOG.md" else ())
    sections = {key.partition(".")[0] for key in known if "." in key}
    for span in spans(page):
        flag = re.match(r"--([a-z_]+\.[\w-]+)", span)
        key = flag[1] if flag else re.split(r"[ =]", span)[0]
        section, _, name = key.partition(".")
        if section in sections and re.fullmatch(r"[a-z_-]+", name or "-"):
            name = name.replace("-", "_").removeprefix("empty_")
            is_module = (PACKAGE / section / f"{name}.py").exists()
            assert not name or is_module or f"{section}.{name}" in known, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_functions_that_are_named_exist(page):
    for line in code(page):
        for word in re.findall(r"[\w./*-]+", line):
            if re.match(rf"({'|'.join(map(re.escape, TOP))})/", word):
                assert list(ROOT.glob(word.rstrip("/."))), word
            elif word.endswith(".py") and word.partition("/")[0] in FLOORS:
                assert (PACKAGE / word).exists(), word
    text = re.sub(
        r"--\S+|\S+\.(yaml|jsonl?|parquet|csv|py)\b", "", "\n".join(code(page))
    )
    for name in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+(?:\.\w+)?\b", text):
        room, *rest = name.split(".")
        if not room or room not in FLOORS or name in keys():
            continue
        path = PACKAGE.joinpath(room, rest[0]).with_suffix(".py")
        assert path.exists(), name
        body = ast.parse(path.read_text(encoding="utf-8")).body
        known = {getattr(node, "name", None) for node in body}
        assert known.issuperset(rest[1:]), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_that_is_marked_runnable_compiles(page):
    for source in runnable(str(page)):
        compile(source, str(page), "exec")


def runnable(page: str) -> list[str]:
    found = CODE.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [m["fence"] for m in found if (m["info"] or "").strip() == "python runnable"]


def test_the_examples_of_data_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    written, function = runnable("docs/data.md")
    exec(written, {})
    (tmp_path / "mine.py").write_text(function)
    table = datasets.load(DataConfig(dataset="csv:customers.csv", label=("churn",)))
    assert (len(table.train_y), len(table.test_y)) == (624, 156)
    assert table.labels is not None
    assert table.labels.classes == ("no", "yes")
    assert datasets.load(DataConfig(dataset="factory:mine:load")).task == "regression"


def test_the_target_can_be_computed_by_hand(tmp_path, monkeypatch, capsys):
    golden = ROOT / "tests/golden/demo.journal.jsonl.gz"
    lines = gzip.decompress(golden.read_bytes()).decode()
    (tmp_path / "RUN").mkdir()
    (tmp_path / "RUN/journal.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (by_hand,) = runnable("docs/verdict.md")
    exec(by_hand, {})
    (locked,) = (
        event["data"]["val_loss"]
        for event in map(json.loads, lines.splitlines())
        if event["event"] == "TargetLocked"
    )
    assert float(capsys.readouterr().out) == locked


@pytest.mark.slow
def test_the_examples_of_python_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in runnable("docs/python.md"):
        exec(example, names)
    assert (tmp_path / "grown/report/index.html").is_file()
    assert names["again"]["same"]


def test_the_arm_of_extending_is_compared_and_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_arms", raising=False)
    arm, test = runnable("docs/extending.md")
    Path("my_arms.py").write_text(arm)
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    exec(test, names)
    names["test_halving_keeps_the_laws"]()
    config = settings(baseline=TINY["baseline"] | {"arms": ["my_arms:HALVING"]})
    done = jobs.compare(config, out=tmp_path / "RUN", executor=jobs.in_process)
    assert done.exit_code == 0
    rows = done.table("runs").to_pylist()
    widths = [row["hidden"] for row in rows if row["arm"] == "my_arms:HALVING"]
    assert widths[:2] == [[8], [4]]
    summary = (tmp_path / "RUN/summary.json").read_bytes()
    jobs.report(tmp_path / "RUN", trust=True)
    assert (tmp_path / "RUN/summary.json").read_bytes() == summary


@pytest.mark.parametrize("page", PAGES[3:], ids=lambda page: page.name)
def test_every_page_says_for_whom_it_is(page):
    _, first = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert first.startswith("For those who"), first


def test_every_room_is_in_the_design_in_the_order_of_the_floors():
    rows = re.findall(
        r"^\| `senn_ray/(\w+)` \|", text_of(ROOT / "docs/design.md"), re.M
    )
    assert rows == [room for room in FLOORS if room and (PACKAGE / room).is_dir()]
