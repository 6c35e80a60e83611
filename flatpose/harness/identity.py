"""Which code made a number: a hash over the parts of the core that a run passes through."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

from flatpose.config import RunConfig
from flatpose.models import BUILDERS

PACKAGE = Path(__file__).resolve().parents[1]


def code_hash(run: RunConfig) -> str:
    """Hash over the syntax trees of every core module that ``run`` can reach; comments and docstrings do not count."""
    return _hash_from((PACKAGE / "pipeline.py", _file_of(BUILDERS[run.model.kind])))


@lru_cache
def _hash_from(start: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(_closure(start)):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(_tree(path).encode())
    return digest.hexdigest()[:12]


def _closure(start: tuple[Path, ...]) -> set[Path]:
    """Files reached from ``start`` by import statements, also those inside functions."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


@lru_cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of this package (without the harness) that ``path`` imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return tuple(file for name in sorted(names) if _inside(name) and (file := _file_of(name)).is_file())


def _inside(name: str) -> bool:
    return name.startswith("flatpose.") and not name.startswith("flatpose.harness")


def _file_of(name: str) -> Path:
    """The file of a module or package of ours."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@lru_cache
def _tree(path: Path) -> str:
    """The syntax tree as text, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_text(s)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str))
