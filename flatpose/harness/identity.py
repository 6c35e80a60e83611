"""Which code made a number: a hash over the parts of the core that a run passes through."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flatpose.config import RunConfig, spec_hash, to_dict
from flatpose.errors import DataError
from flatpose.harness import sites
from flatpose.io import read_json

PACKAGE = Path(__file__).resolve().parents[1]
STARTS_MADE_HERE = ("mobilenetv2_embedded",)
"""Backbones whose weights are trained by the core itself, as a part of the run."""
EQUIVALENT = "verified.json"
"""In reports/data: codes that were proved to give the same numbers (flatpose.harness.verify)."""


def code_hash(run: RunConfig) -> str:
    """Hash over the syntax trees of every core module that ``run`` can reach; comments and docstrings do not count."""
    made = getattr(run.model, "backbone", None) in STARTS_MADE_HERE
    return _hash_from((PACKAGE / "pipeline.py", PACKAGE / "models" / f"{run.model.kind}.py",
                       *([PACKAGE / "imagenet.py"] if made else [])))


def hash_of(*modules: str) -> str:
    """The same for the code reached from these files of the core ("ceiling.py")."""
    return _hash_from(tuple(PACKAGE / module for module in modules))


def is_current(record: dict[str, Any], run: RunConfig) -> bool:
    """Whether ``record`` was made by today's code, and no default it relied on has changed its value since.

    ``run`` is today's run of that hash, or the record's own spec, which no longer has its hash when a default moved.
    """
    return (same_code(str(record.get("code_hash")), code_hash(run), run.codec.kind)
            and record.get("spec_hash") == spec_hash(run) and _agree(record.get("spec"), to_dict(run)))


def same_code(recorded: str, today: str, codec: str) -> bool:
    """Equal, or joined by a chain of codes of which each two were verified to give the same numbers."""
    pairs = [{pair["code"], pair["same_as"]} for pair in equivalents(sites.root() / "reports")
             if codec in pair.get("codecs", [codec])]
    same: set[str] = {recorded}
    while grown := [pair for pair in pairs if pair & same and not pair <= same]:
        same = same.union(*grown)
    return today in same


@lru_cache
def equivalents(reports: Path) -> list[dict[str, Any]]:
    """Pairs of codes ("code", "same_as") that gave the same numbers, with the codecs they were tried with (none: any)
    and the evidence ("runs", "cpu", "torch", "verified").

    Raises:
        DataError: The file is damaged.
    """
    path = reports / "data" / EQUIVALENT
    if not path.is_file():
        return []
    known = read_json(path)
    pairs = known.get("equivalent") if isinstance(known, dict) else None
    if not isinstance(pairs, list) or not all(isinstance(p, dict) and {"code", "same_as"} <= p.keys() for p in pairs):
        raise DataError("not a file that flatpose-exp verify wrote", where=str(path), hint=f"git checkout {path.name}")
    return pairs


def _agree(old: Any, new: Any) -> bool:
    """Equal wherever both say something; fields that one of them does not know do not count."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_agree(value, new[key]) for key, value in old.items() if key in new)
    return bool(old == new)


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
    """Ours, and able to move a number: configuration is data (and is compared as such), the registry of models too.

    So is a keypoint set of one's own: its file is part of the identity of the data.
    """
    apart = name in ("flatpose.models", "flatpose.keypoints_file")
    return name.startswith("flatpose.") and not (apart or name.startswith(("flatpose.harness", "flatpose.config",
                                                                           "flatpose.keypoints_file.")))


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
            body[:] = [s for s in body if not _is_text(s)]
    return _dump(tree)


def _dump(value: Any) -> str:
    """Like ast.dump, whose text differs between Python versions: a record must not age by being read elsewhere."""
    if isinstance(value, ast.JoinedStr):  # early releases of 3.12 add empty pieces
        value = ast.JoinedStr([v for v in value.values if not (isinstance(v, ast.Constant) and v.value == "")])
    if isinstance(value, ast.AST):
        parts = [f"{name}={_dump(part)}" for name, part in ast.iter_fields(value)
                 if part is not None and part != [] and name not in ("ctx", "kind", "type_comment")]
        return f"{type(value).__name__}({','.join(parts)})"
    if isinstance(value, list):
        return f"[{','.join(map(_dump, value))}]"
    return ascii(value)


def _is_text(statement: ast.stmt) -> bool:
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str))
