"""``report --html``: everything below reports/ as a folder of plain files that a browser shows without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from flatpose.errors import SpecError
from flatpose.harness import ceilings_page, claims_page, collect, page, readings_index, report
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.collect import Stale
from flatpose.harness.html_page import Site, to_html
from flatpose.harness.spec import Experiment
from flatpose.harness.tables import Column, Line, Table, number_cell, text_cell
from flatpose.io import write_bytes

KINDS = (".csv", ".json", ".svg", ".png", ".jpg", ".jpeg", ".webp")
FILES = "files"
"""Name of the page that lists the site's other files."""


def write(root: Path, folder: Path, known: Sequence[Experiment], *, check: bool = False,
          stale: Stale | None = None) -> list[Path]:
    """Brings the site in ``folder`` up to date with reports/ below ``root``, or (``check``) only tells what is not.

    Returns:
        Files of the site that were written, or that a check found missing or outdated.

    Raises:
        SpecError: There is nothing to show, or ``folder`` is a file, or reports/ itself.
    """
    reports = root / "reports"
    if not reports.is_dir():
        raise SpecError("no reports/ to make a site from", where=str(reports), hint="flatpose-exp report all")
    if (folder.exists() and not folder.is_dir()) or folder.resolve() == reports.resolve():
        raise SpecError("not a folder for a site", where=str(folder), hint="name a folder that is new or holds a site")
    made = files(collected(reports, known, stale), assets(reports, folder))
    changed = [name for name, content in sorted(made.items()) if not _same(folder / name, content)]
    for name in changed if not check else ():
        write_bytes(folder / name, made[name])
    return [folder / name for name in changed]


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def collected(reports: Path, known: Sequence[Experiment], stale: Stale | None = None) -> dict[str, list[Block]]:
    """Every page of reports/ by name, the index first.

    A page has its tables as objects (with tooltips) where today's code makes the same markdown from the records; any
    other page is what its markdown says.
    """
    texts = {p.stem: p.read_text(encoding="utf-8", errors="replace") for p in sorted(reports.glob("*.md"))}
    found: dict[str, list[Block]] = {}
    for name in dict.fromkeys(["index", *(e.id for e in known), *texts]):
        if name in texts:
            experiment = next((e for e in known if e.id == name), None)
            blocks = (_blocks(name, experiment, reports, stale or report.default_stale())
                      or _of_all(name, known, reports))
            found[name] = blocks if blocks and markdown(blocks) == texts[name] else [texts[name]]
    return found


def _of_all(name: str, known: Sequence[Experiment], reports: Path) -> list[Block]:
    """A page that needs every experiment; nothing for others, or where the experiments are not the paper's."""
    needed = {*claims_page.EXPERIMENTS, readings_index.SENSITIVITY}
    if name not in ("claims", "readings") or not needed <= {e.id for e in known}:
        return []
    entries = {e.id: (e, collect.load(reports / "data" / f"{e.id}.json", e.id)) for e in known}
    return claims_page.parts(entries, reports) if name == "claims" else readings_index.parts(entries)


def _blocks(name: str, experiment: Experiment | None, reports: Path, stale: Stale) -> list[Block]:
    """What the page is made of; nothing for a page that only exists as markdown."""
    if experiment is None:
        return ceilings_page.parts(reports) if name == "ceilings" else []
    records = collect.load(reports / "data" / f"{name}.json", name)
    pictures = report.picture_names(experiment, records)
    return page.blocks(experiment, records, {t: f for t, f in pictures.items() if (reports / f).exists()}, stale)


def assets(reports: Path, folder: Path) -> dict[str, bytes]:
    """Pictures and data below reports/, by path; not what lies in the site's own folder."""
    inside = folder.resolve()
    found = (p for p in sorted(reports.rglob("*")) if p.suffix in KINDS and p.is_file() and not p.name.startswith("."))
    return {p.relative_to(reports).as_posix(): p.read_bytes() for p in found if inside not in p.resolve().parents}


def files(pages: Mapping[str, Sequence[Block]], assets: Mapping[str, bytes]) -> dict[str, bytes]:
    """The whole site by path. Pure: equal pages and assets give equal bytes."""
    pages = {**pages, FILES: _listing(assets)}
    site = Site({name: _title(name, blocks) for name, blocks in pages.items()}, assets)
    return {**assets, **{f"{name}.html": to_html(name, blocks, site).encode() for name, blocks in pages.items()}}


def _title(name: str, blocks: Sequence[Block]) -> str:
    """The first heading, without markup."""
    first = re.search(r"^# (.+)$", blocks[0] if blocks and isinstance(blocks[0], str) else "", re.MULTILINE)
    return re.sub(r"[*`]", "", first[1]) if first else name


def _listing(assets: Mapping[str, bytes]) -> list[Block]:
    """What else lies in the site's folder."""
    size = Column("size", "size", "kB", 1)
    kinds = (Column("kind", "kind", numeric=False), size)
    rows = tuple(Line(path, path, (text_cell(path.rpartition(".")[2].upper()), number_cell(len(data) / 1e3, size, "")))
                 for path, data in sorted(assets.items()))
    return ["# Files: tables as CSV, records as JSON, plots as SVG",
            "One line of a CSV file is one cell of a table: its value in full, interval, condition, status, and the "
            "runs behind it.", "\n".join(f"- [{path}]({path})" for path in sorted(assets)),
            Shown(Table("files", "Sizes in kB", kinds, rows), folded=True)]
