"""Which way imports may go (dynamic ones counted), and that answering a question never loads torch."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import ROOT, python

FILES = sorted((ROOT / "flatpose").rglob("*.py"))
MODULES = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
CORE = [p for p in FILES if "harness" not in p.parts]
def imported(path: Path) -> set[str]:
    """Modules that a file imports when it is run: at the top and inside functions, not for type checkers."""
    names: set[str] = set()
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner if inner <= MODULES.keys() else {str(node.module), *inner}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert path.name == "catalog.py", f"{path}: only the catalog imports dynamically"
    return names


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from _nodes(child)


def offenders(files: list[Path], *forbidden: str) -> list[str]:
    return [f"{path.relative_to(ROOT)} imports {name}" for path in files for name in sorted(imported(path))
            if any(name == f or name.startswith(f"{f}.") for f in forbidden)]


def test_the_core_imports_no_harness_and_only_the_catalog_imports_experiments():
    assert offenders(CORE, "flatpose.harness") == []
    assert offenders(FILES, "experiments") == []


def test_data_imports_no_models():
    assert offenders([p for p in FILES if "data" in p.parts], "flatpose.models", "flatpose.train", "flatpose.pipeline",
                     "timm") == []


def test_experiments_are_declarative():
    for path in (ROOT / "experiments").glob("*.py"):
        for name in imported(path):
            allowed = ("experiments", "flatpose.config", "flatpose.studies", "flatpose.harness.spec",
                       "flatpose.harness.claims", "flatpose.harness.formula")
            standard = name.split(".")[0] in sys.stdlib_module_names
            assert standard or any(name == a or name.startswith(f"{a}.") for a in allowed), f"{path.name}: {name}"


def test_there_is_no_circle():
    graph = {name: {i for i in imported(path) if i in MODULES and i != name} for name, path in MODULES.items()}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, " → ".join((*trail[trail.index(name):], name))
        if name not in state:
            state[name] = 1
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            state[name] = 2

    for name in sorted(graph):
        visit(name, ())


def loaded(folder: Path, code: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after running ``code``."""
    heavy = ("torch", "torchvision", "timm", "accelerate", "cv2", "pandas", "matplotlib")
    tail = f"import sys, json; print('\\n' + json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    answer = python(folder, "-c", f"{code}\n{tail}")
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command, allowed", [
    ("--help", set()), ("list", set()), ("show fig1", set()), ("validate", set()), ("plan fig1", {"cv2"}),
    ("plan table5 --json", {"cv2"}), ("status", {"cv2", "pandas"}), ("compare fig1", {"cv2", "pandas"}),
    ("report fig1 --check", {"cv2", "pandas", "matplotlib"})])
def test_commands_that_load_no_torch(command, allowed, tmp_path):
    code = (f"import sys; sys.argv[1:] = {command.split()!r}\n"
            "from flatpose.harness.cli import main\ntry: main()\nexcept SystemExit as stop: assert stop.code in (0, 1)")
    assert loaded(tmp_path, code) <= allowed
