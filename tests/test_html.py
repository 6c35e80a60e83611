"""The site of the reports, as far as it can be judged without a browser (test_html_browser.py opens it in one)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fake_reports as fake
import pytest
from html_check import Document, broken_links

from flatpose.errors import SpecError
from flatpose.harness import html_site, html_table, page, plots, render, report, svg
from flatpose.harness.collect import RecordSet, stale_check
from flatpose.harness.html_page import Site, resolve, to_html
from flatpose.harness.tables import Cell, Column, Line, Table

CATALOG, STALE = [fake.experiment()], stale_check(fake.current)
STRANGER = """# A page of *another* kind

See [below](stranger.md#finding-of-mine), [its data](data/fig1.json), [all](data), [the index](./index.md),
[elsewhere](../docs/evaluation.md), [paper](https://example.org/p) and ![nothing](gone.svg).

<script>alert(1)</script> and <img src=x onerror=alert(1)> <b>stay text</b>

| name | value | why |
| --- | --: | --- |
| b 11 | — | |
| b 10 | 1,200 | `a` <br> and [b](fig1.md) |
| b 9 | −3.5 ± 1 | a sentence that is long enough to be prose, so that phones show it below and not beside the others |

<details><summary>More</summary>

## Finding of mine

</details>
"""


def made_reports(root: Path) -> Path:
    """reports/ of the made-up experiment with a failed row, and a page that only exists as markdown."""
    run = fake.run_of(CATALOG[0].rows[5])
    records = [r for r in fake.full() if r["spec_hash"] != fake.spec_hash(run)]
    failure = fake.failed(run, reason="<script>alert(2)</script> & | NaN")
    fake.store(root / "runs", [*records, failure, *fake.full(fake.SUBSET, seeds=(0,))])
    report.write("all", root, catalog=CATALOG, stale=STALE)
    (root / "reports/stranger.md").write_text(STRANGER)
    return root / "reports"


def site_of(reports: Path) -> dict[str, bytes]:
    return html_site.files(html_site.collected(reports, CATALOG, STALE), html_site.assets(reports, reports / "site"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Path:
    return made_reports(tmp_path_factory.mktemp("html"))


@pytest.fixture(scope="module")
def site(reports) -> dict[str, bytes]:
    return site_of(reports)


def test_the_site_is_whole_and_well_formed(site):
    assert {"index.html", "fig1.html", "stranger.html", "files.html", "fig1.csv", "data/fig1.json"} <= set(site)
    for name in (n for n in site if n.endswith(".html")):
        assert Document(site[name].decode()).faults == [], name
    assert broken_links(site) == []
    assert broken_links({**site, "index.html": b'<a href="gone.html">x</a>'}) == ["index.html: gone.html"]


def test_every_table_says_the_same_as_the_markdown(reports, site):
    """Both renderers consume one structure: row by row, cell by cell, the same text."""
    written = [[re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹*]", "", line).strip("| ").split(" | ")
                for line in block.splitlines() if not set(line) <= set("|-: ")]
               for block in re.findall(r"(?:^\|.*\n)+", (reports / "fig1.md").read_text(), re.MULTILINE)]
    shown = Document(site["fig1.html"].decode()).tables
    assert len(shown) == len(written) > 3
    for markdown, found in zip(written, shown, strict=True):
        assert [[" ".join(c.split()) for c in row] for row in found] == [[" ".join(c.split()) for c in row]
                                                                        for row in markdown]


def test_cells_tell_their_condition_in_the_tooltip_and_as_text(site):
    document = Document(site["fig1.html"].decode())
    condition = "ground-truth boxes, with flip test, box x mean keypoint score > 0.2, OKS-NMS 0.9"
    first = next(t for t in document.titles if t.startswith("heatmap, stride 4 · AP, GT boxes"))
    assert condition in first and "n = 3" in first and first.count("/seed") == 3
    text = "".join(document.texts)
    assert f"AP, GT boxes: {condition}" in " ".join(text.split())
    failed = next(t for t in document.titles if "SimCC, stride 8 · AP, GT boxes" in t)
    assert "failed: seed 0 failed: <script>alert(2)</script>" in failed
    assert any(t.endswith("no network") or "no network" in t for t in document.titles if "codec ceiling" in t)


def test_the_csv_has_the_condition_of_every_measured_number(reports):
    import csv

    rows = [r for r in csv.DictReader((reports / "fig1.csv").open()) if r["column"].startswith("AP_") and r["value"]]
    assert rows and all("boxes" in r["condition"] and "flip" in r["condition"] for r in rows)


def test_conditions_name_rows_only_where_a_column_has_several():
    def cell(condition):
        return Cell(1.0, "1", condition=condition)

    table = Table("t", "T", (Column("a", "A"), Column("b", "B")),
                  (Line("r", "R", (cell("x"), cell("x"))), Line("s", "S", (cell("x"), cell("y")))))
    assert html_table.conditions(table) == [("A", "x"), ("B of R", "x"), ("B of S", "y")]
    assert html_table.conditions(Table("t", "T", (Column("a", "A"),), (Line("r", "R", (Cell(1.0, "1"),)),))) == []


def test_cells_keep_their_value_and_state():
    table = Table("t", "T", (Column("a", "a", direction="higher"), Column("b", "b", numeric=False)), (
        Line("r", 'x "<y>"', (Cell(12.3456789, "12.3", "stale"), Cell(None, "—", "empty", "never asked")), "G"),))
    text = html_table.to_html(table)
    assert 'data-value="12.3456789"' in text and 'class="num stale"' in text and "12.3 †" in text
    assert 'data-first="descending"' in text and text.count('aria-sort="none"') == 3
    assert "<sup>1</sup> never asked" in text and "x &quot;&lt;y&gt;&quot;" in text
    assert '<tr class="group"><th colspan="3" scope="rowgroup">G</th></tr>' in text


def test_strange_markup_stays_text_and_links_are_rewritten(site):
    text = site["stranger.html"].decode()
    assert "&lt;script&gt;alert(1)" in text and "&lt;img src=x" in text and "<b>stay text</b>" in text
    assert text.count("<script>") == 1
    assert 'href="stranger.html#finding-of-mine"' in text and 'href="data/fig1.json"' in text
    assert 'href="files.html">all' in text and 'href="https://example.org/p" rel="noreferrer"' in text
    assert 'title="in the repository: reports/../docs/evaluation.md">elsewhere</span>' in text
    assert '<td class="num" data-label="value">1,200</td>' in text and "sortable prose" in text
    empty = Site({"a": "A"}, {})
    assert [resolve(h, empty) for h in ("a.md", "a.md#x", "b.md", "javascript:1")] == ["a.html", "a.html#x", None, None]


def test_nothing_but_its_own_script_may_run(site):
    for name in (n for n in site if n.endswith(".html")):
        text = site[name].decode()
        script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text


def test_the_same_bytes_in_another_process_without_torch(reports, site, tmp_path):
    code = ("import sys, test_html, hashlib, json; from pathlib import Path; s = test_html.site_of(Path(sys.argv[1]));"
            "assert not {'torch', 'matplotlib', 'cv2'} & set(sys.modules);"
            "print(json.dumps({k: hashlib.sha256(v).hexdigest() for k, v in s.items()}))")
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}", "TZ": "Asia/Tokyo"}
    answer = subprocess.run([sys.executable, "-c", code, str(reports)], check=True, env=env, text=True,
                            capture_output=True)
    assert json.loads(answer.stdout) == {k: hashlib.sha256(v).hexdigest() for k, v in site.items()}


def test_write_and_check(reports, tmp_path):
    shutil.copytree(reports, tmp_path / "reports")
    folder = tmp_path / "reports" / "site"
    written = html_site.write(tmp_path, folder, CATALOG, stale=STALE)
    assert folder / "index.html" in written and html_site.write(tmp_path, folder, CATALOG, stale=STALE) == []
    assert html_site.write(tmp_path, folder, CATALOG, check=True, stale=STALE) == []
    target = folder / "fig1.html"
    target.write_text(target.read_text().replace("42.", "62.", 1))
    assert html_site.write(tmp_path, folder, CATALOG, check=True, stale=STALE) == [target]
    path = tmp_path / "reports/data/fig1.json"
    path.write_text(path.read_text().replace('"AP": 0.4', '"AP": 0.7', 1))
    assert {p.name for p in html_site.write(tmp_path, folder, CATALOG, check=True, stale=STALE)} >= {
        "fig1.html", "fig1.json"}
    for wrong in (tmp_path / "reports", path):
        with pytest.raises(SpecError, match="not a folder for a site"):
            html_site.write(tmp_path, wrong, CATALOG)
    with pytest.raises(SpecError, match="no reports/"):
        html_site.write(tmp_path / "nowhere", folder, CATALOG)


def test_a_page_that_differs_from_its_records_is_shown_as_it_is(reports, tmp_path):
    shutil.copytree(reports, tmp_path / "reports")
    path = tmp_path / "reports/fig1.md"
    assert any(not isinstance(b, str) for b in html_site.collected(path.parent, CATALOG, STALE)["fig1"])
    path.write_text(path.read_text() + "\nWritten by hand.\n\n| a | b |\n| --- | --: |\n| **Part** | |\n| x | 1 |\n")
    text = html_site.files(html_site.collected(path.parent, CATALOG, STALE), {})["fig1.html"].decode()
    assert "Written by hand." in text and '<tr class="group">' in text and Document(text).faults == []


@pytest.mark.parametrize("words, expected", [
    (["report", "--html"], ["report", "--html="]), (["report", "--html", "out"], ["report", "--html", "out"]),
    (["report", "--html", "--check"], ["report", "--html=", "--check"]), (["report"], ["report"])])
def test_the_folder_may_be_left_out(words, expected):
    from flatpose.harness import cli_site

    assert cli_site.whole(words) == expected


def test_the_command_line(tmp_path, monkeypatch, capsys):
    from fake_runs import Cli

    cli = Cli(tmp_path, monkeypatch, capsys)
    answer = cli("report", cli.spec, "--html", "out")
    assert answer.code == 0 and "site: out/index.html" in answer.err
    assert broken_links({p.relative_to("out").as_posix(): p.read_bytes() for p in Path("out").rglob("*.*")}) == []
    assert cli("report", cli.spec, "--html", "out", "--check").code == 0
    Path("out/index.html").write_text("another")
    answer = cli("report", cli.spec, "--check", "--html", "out")
    assert answer.code == 1 and "outdated: 1 files of out" in answer.err
    answer = cli("report", "--html", "fig1")
    assert answer.code == 2 and "report fig1 --html" in answer.err


def test_pages_are_their_blocks():
    records = RecordSet("fig1", tuple(fake.full()), tuple(fake.costs()))
    blocks = page.blocks(CATALOG[0], records, {}, STALE)
    shown = [b.table for b in blocks if not isinstance(b, str)]
    assert shown == [t for _, t in page.tables(CATALOG[0], records, STALE)]
    assert all(render.to_markdown(t).strip() in page.page(CATALOG[0], records, {}, STALE) for t in shown)


def test_two_pictures_on_one_page_share_no_id(site):
    assert site["fig1.html"].count(b'<figure class="plot">') == 2  # ids that occur twice are faults of a Document


def test_active_pictures_are_shown_but_not_taken_in():
    hostile = b'<svg viewBox="0 0 1 1"><script>alert(1)</script></svg>'
    assert svg.inline(hostile.decode(), "p", "x") is None and svg.inline("no picture", "p", "x") is None
    text = to_html("a", ["# A\n\n![x](x.svg)"], Site({"a": "A"}, {"x.svg": hostile}))
    assert '<img src="x.svg"' in text and "alert(1)" not in text


def test_raster_pictures_zoom_too():
    import cv2
    import numpy as np

    png = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    site = Site({"a": "A"}, {"x.png": png, "y.png": b"broken"})
    text = to_html("a", ["# A\n\n![x](x.png)\n\n![y](y.png)"], site)
    assert 'viewBox="0 0 40 30"' in text and '<image href="x.png" width="40" height="30"/>' in text
    assert '<img src="y.png"' in text


def contrast(first: str, second: str) -> float:
    """Of two colours, 1 to 21, as WCAG 2 defines it."""
    def luminance(colour: str) -> float:
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dim, bright = sorted((luminance(first), luminance(second)))
    return (bright + 0.05) / (dim + 0.05)


def test_plots_read_well_on_light_and_dark():
    card = svg.DARK[plots.CARD.lower()]
    for colour in (c.lower() for c in (plots.INK, plots.MUTED, *plots.COLOURS)):
        assert contrast(svg.LIGHT_TEXT.get(colour, colour), plots.CARD) >= 4.5, colour
        assert contrast(colour, plots.CARD) >= 2.2, colour
        assert contrast(svg.DARK.get(colour, colour), card) >= 4.5, colour
    data = plots.plot_data(CATALOG[0], None)
    drawn = plots.draw(data)
    assert drawn.count(b"prefers-color-scheme") == 2 and drawn == plots.draw(data)
    plain = re.sub(rb"<style>.*?</style>", b"", drawn)
    used = {c.decode() for c in re.findall(rb"(?:fill|stroke): (#[0-9a-f]{6})", plain)}
    assert len(used) > 3 and used <= set(svg.DARK), "a colour that dark pages do not know"


def test_every_committed_page_has_its_numbers_as_a_file():
    found = Path(__file__).parents[1] / "reports"
    for path in (p for p in found.glob("*.md") if p.stem != "index" and re.search(r"^\| -", p.read_text(), re.M)):
        assert (found / f"{path.stem}.csv").exists() or (found / "data" / f"{path.stem}.json").exists(), path.name
