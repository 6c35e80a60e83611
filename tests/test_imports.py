"""Which way imports may go, and that answering a question never loads torch."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = [p for p in (ROOT / "flatpose").rglob("*.py") if "harness" not in p.parts]
NO_TORCH = ["flatpose", "flatpose.errors", "flatpose.keypoints", "flatpose.geometry", "flatpose.io",
            "flatpose.progress", "flatpose.config", "flatpose.models", "flatpose.data", "flatpose.data.coco",
            "flatpose.data.instances", "flatpose.data.transforms", "flatpose.data.synthetic", "flatpose.metrics"]


def imported(path: Path, top_level: bool = False) -> set[str]:
    """Modules that a file imports, also inside functions unless only the top level is asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def offenders(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    inside = tuple(f"{name}." for name in forbidden)
    return [f"{path.relative_to(ROOT)} imports {name}" for path in files for name in sorted(imported(path))
            if name in forbidden or name.startswith(inside)]


def test_the_core_knows_no_harness_and_no_experiments():
    assert len(CORE) > 30 and offenders(CORE, ("flatpose.harness", "experiments")) == []


def test_data_knows_no_models():
    files = sorted((ROOT / "flatpose" / "data").rglob("*.py"))
    assert offenders(files, ("flatpose.models", "flatpose.train", "flatpose.pipeline", "timm")) == []


def test_experiments_import_only_vocabulary_recipes_and_readings():
    for path in (ROOT / "experiments").glob("*.py"):
        for name in imported(path):
            allowed = ("experiments", "flatpose.config", "flatpose.harness.spec", "flatpose.harness.claims",
                       "flatpose.harness.formula")
            standard = name.split(".")[0] in sys.stdlib_module_names
            assert standard or any(name == a or name.startswith(f"{a}.") for a in allowed), f"{path.name}: {name}"


def test_only_the_runner_trains_and_only_the_command_line_prints():
    for path in (ROOT / "flatpose" / "harness").glob("*.py"):
        names = imported(path)
        assert path.name == "runner.py" or not names & {"flatpose.pipeline", "flatpose.train"}, path.name
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        speaks = path.name in ("cli.py", "cli_tools.py", "console.py", "sweep.py") or "__main__" in path.read_text()
        assert speaks or "print" not in calls, path.name


def loaded(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after running ``code``."""
    heavy = ("torch", "torchvision", "timm", "accelerate", "cv2")
    tail = f"import sys, json; print('\\n' + json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], text=True, capture_output=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_modules_that_load_no_torch():
    harness = [f"flatpose.harness.{p.stem}" for p in (ROOT / "flatpose" / "harness").glob("*.py")
               if p.stem != "__init__"]
    assert "flatpose.harness.cli" in harness
    assert loaded("import " + ", ".join(NO_TORCH + harness)) <= {"cv2"}


@pytest.mark.parametrize("command, allowed", [
    ("--help", set()), ("list", set()), ("show fig1", set()), ("validate", set()), ("compare fig1", set()),
    ("plan fig1", {"cv2"}), ("plan table5 --json", {"cv2"}), ("status", set()), ("report fig1 --check", set())])
def test_commands_that_load_no_torch(command, allowed, tmp_path):
    code = (f"import os, sys; sys.argv[1:] = {command.split()!r}; os.chdir({str(tmp_path)!r})\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from flatpose.harness.cli import main\ntry: main()\nexcept SystemExit as stop: assert stop.code in (0, 1)")
    assert loaded(code) <= allowed
