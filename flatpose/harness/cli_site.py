"""``report --html [DIR]`` on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, sites
from flatpose.harness.console import OPTIONS, err


def whole(given: Sequence[str]) -> list[str]:
    """``--html`` without a folder gets an empty one: typer knows no options whose value may be left out."""
    following = [*given[1:], "-"]
    return ["--html=" if a == "--html" and b.startswith("-") else a for a, b in zip(given, following, strict=False)]


def folder_of(text: str) -> Path:
    """The folder meant by the option's value; an experiment's id there is a mistake told before anything is written."""
    if text in ("all", *catalog.ids()):
        raise SpecError(f"{text} is no folder", where="--html", hint=f"flatpose-exp report {text} --html")
    return Path(text) if text else sites.root() / "site"


def site(folder: Path, check: bool) -> None:
    """Write the site, or tell whether it is current (exit code 1 when not)."""
    from flatpose.harness import html_site

    changed = html_site.write(sites.root(), folder, [catalog.load(i) for i in catalog.ids()], check=check)
    if check and changed:
        err.print(f"outdated: {len(changed)} files of {folder}\n  → flatpose-exp report --html {folder}", markup=False)
        raise typer.Exit(1)
    if check or not OPTIONS.quiet:
        err.print(f"{folder} is current" if check else f"site: {folder / 'index.html'}", markup=False)
