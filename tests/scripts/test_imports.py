"""Scripts are not checked by types: what they import must at least be there."""

import ast
import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def is_python(path: Path) -> bool:
    return path.is_file() and path.read_text().startswith("#!/usr/bin/env python")


NAMES = sorted(path.name for path in SCRIPTS.iterdir() if is_python(path))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_script_imports_of_the_package_exists(name: str) -> None:
    tree = ast.parse((SCRIPTS / name).read_text())
    wanted = [
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("senn_ray")
        for alias in node.names
    ]
    for module, attribute in wanted:  # ``bench_gang`` only names the folder beside it.
        found = importlib.import_module(str(module))
        if not hasattr(found, attribute):
            importlib.import_module(f"{module}.{attribute}")
