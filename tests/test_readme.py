"""README's tree names every file with its docstring's first sentence; ``python tests/test_readme.py`` renews it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- tree -->\n```\n", "```\n<!-- /tree -->"
FOLDERS = ("flatpose", "experiments", "benchmarks", "examples")
REST = (("reports/", "rendered pages, their plots, and data/: the records they are made of"),
        ("tests/", "mirror the modules; tests marked slow run in CI"),
        ("docs/", "a page per task, decisions, measured reliability"),
        ("Makefile", "make fig1, make table5, make test, …"),
        ("pyproject.toml", "what is needed, as ranges; constraints.txt pins what was tested"))
WIDTH = 34


def tree() -> str:
    """One line per file."""
    lines = [line for folder in FOLDERS if (ROOT / folder).is_dir() for line in _folder(ROOT / folder, 0)]
    return "\n".join([*lines, *(_line(name, 0, text) for name, text in REST)]) + "\n"


def _folder(folder: Path, depth: int) -> list[str]:
    lines = [_line(f"{folder.name}/", depth, _sentence(folder / "__init__.py"))]
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            lines.append(_line(path.name, depth + 1, _sentence(path)))
    for inner in sorted(p for p in folder.iterdir() if (p / "__init__.py").is_file()):
        lines += _folder(inner, depth + 1)
    return lines


def _line(name: str, depth: int, text: str) -> str:
    line = f"{'  ' * depth + name:<{WIDTH}} {text}".rstrip()
    return line if len(line) <= 130 else line[:127].rsplit(" ", 1)[0] + " …"


def _sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return re.split(r"(?<!Fig)(?<!eq)(?<!eqs)\. ", " ".join((text or "").split("\n\n")[0].split()))[0].rstrip(".")


def test_the_tree_is_current():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.split(START)[1].split(END)[0] == tree(), "run: python tests/test_readme.py"


if __name__ == "__main__":
    before, rest = (ROOT / "README.md").read_text(encoding="utf-8").split(START)
    (ROOT / "README.md").write_text(before + START + tree() + END + rest.split(END)[1], encoding="utf-8")
