"""The floors of the design: who may import whom, lazily or not."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "senn_ray"
WORDS = {"config", "core"}
NUMERICS = WORDS | {"maths", "nets", "data", "training"}
RUNS = NUMERICS | {"growth", "runs"}
JOBS = WORDS | {"search", "store", "analysis"}

# Room -> (ours, third party), from the ground up. An entry "a.b" allows that module of
# a room only. Every room is below all rooms that follow it: there is no circle.
FLOORS: dict[str, tuple[set[str], set[str]]] = {
    "config": (set(), {"pydantic"}),
    "core": ({"config"}, {"pydantic"}),
    "maths": (set(), {"torch"}),
    "nets": (WORDS | {"maths"}, {"torch"}),
    "data": (
        WORDS,
        {"torch", "torchvision", "pyarrow", "numpy", "PIL", "sklearn", "filelock"},
    ),
    "training": (WORDS | {"maths", "nets", "data"}, {"torch", "numpy"}),
    "growth": (NUMERICS, {"torch"}),
    "runs": (NUMERICS | {"growth"}, {"torch"}),
    "export": (NUMERICS, {"torch", "numpy"}),
    "search": (WORDS, {"numpy", "optuna", "pydantic"}),
    "store": (WORDS | {"search"}, {"filelock", "numpy", "pyarrow", "pydantic", "yaml"}),
    "analysis": (WORDS | {"search"}, {"numpy", "scipy", "pydantic"}),
    "cluster_runtime": (
        WORDS | {"training.reducer", "data.examples", "runs", "search.executor"},
        {"ray", "torch", "grpc"},
    ),
    "report": (
        WORDS | {"search.targets", "analysis.results", "analysis.front_results"},
        {"pyarrow", "matplotlib", "jinja2", "numpy"},
    ),
    "service": (
        RUNS | JOBS | {"export", "cluster_runtime", "report"},
        {"numpy", "pyarrow", "torch"},
    ),
    "cli": (
        WORDS | {"service", "report", "analysis.results", "search.targets"},
        {"cyclopts", "rich", "pydantic", "yaml"},
    ),
    "": (WORDS | {"analysis.results", "service"}, set()),
    "__main__": ({"cli"}, set()),
}
IN_ONE_FILE = ("optuna",)


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(source: str) -> set[str]:
    """Name every module that a source imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = {f"{base}.{alias.name}" for alias in node.names}
            modules = {name for name in names if is_module(name)}
            found |= modules | ({base} if modules != names else set())
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rpartition(".")[2]
            first = node.args[0]
            dynamic = called in {"import_module", "__import__"}
            if dynamic and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def room_of(module: str) -> str:
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def violation(room: str, imported: str) -> str | None:
    """Say why a room may not import a module, or nothing if it may."""
    ours, others = FLOORS[room]
    top, _, inside = imported.partition(".")
    if imported.startswith("."):
        return "relative imports hide the floor"
    if top != PACKAGE:
        known = top in sys.stdlib_module_names or top in others
        return None if known else "not in the room's third-party column"
    target = room_of(imported)
    if target == room or target in ours or inside in ours or not inside:
        return None
    return "not below this room"


def files() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def test_no_room_imports_one_that_is_above_it():
    rooms = list(FLOORS)
    for number, (room, (ours, _)) in enumerate(FLOORS.items()):
        below = {name.partition(".")[0] for name in ours}
        assert below <= set(rooms[:number]) | {room}, room


def test_every_room_is_in_the_table():
    assert {room_of(module_name(path)) for path in files()} <= set(FLOORS)


@pytest.mark.parametrize("path", files(), ids=module_name)
def test_imports_go_down_only(path):
    room = room_of(module_name(path))
    source = path.read_text(encoding="utf-8")
    reasons = {name: violation(room, name) for name in imports(source)}
    assert {name: reason for name, reason in reasons.items() if reason} == {}


@pytest.mark.parametrize("library", IN_ONE_FILE)
def test_heavy_libraries_live_in_one_file(library):
    users = [
        module_name(path)
        for path in files()
        if library in {name.partition(".")[0] for name in imports(path.read_text())}
    ]
    assert len(users) <= 1, users


@pytest.mark.parametrize(
    ("room", "source", "allowed"),
    [
        ("nets", "import torch\nfrom senn_ray.core.errors import DataError", True),
        ("maths", "from senn_ray.training.reducer import Reducer", False),
        ("maths", "def f():\n    import numpy", False),
        ("search", "def f():\n    import ray", False),
        ("search", "from senn_ray import training", False),
        ("search", "import importlib\nimportlib.import_module('ray.util')", False),
        ("cluster_runtime", "from senn_ray.search.executor import Executor", True),
        ("cluster_runtime", "from senn_ray.store import journal", False),
        ("report", "from senn_ray.store import journal", False),
        ("report", "from senn_ray.analysis.results import Summary", True),
        ("report", "from senn_ray.analysis.summary import summarise", False),
        ("cli", "from senn_ray import service", True),
        ("cli", "from senn_ray.store import journal", False),
        ("nets", "from . import mlp", False),
    ],
)
def test_the_walker_sees_what_is_forbidden(room, source, allowed):
    reasons = [violation(room, name) for name in imports(source)]
    assert (reasons == [None] * len(reasons)) == allowed
