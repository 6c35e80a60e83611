"""The site in a real headless browser: sorting, zooming, links, phones, both colour schemes, and a silent console."""

from __future__ import annotations

from pathlib import Path

import browser
import pytest
from html_check import Document, broken_links
from test_html import made_reports, site_of

from flatpose.harness import catalog, html_site
from flatpose.harness.blocks import Shown
from flatpose.harness.tables import Cell, Column, Line, Table

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    found = browser.find()
    if found is None:
        pytest.skip("no Chromium, Chrome or Edge on the path (or in $FLATPOSE_BROWSER)")
    opened = browser.Browser(found, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def stored(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Of made-up records."""
    root = tmp_path_factory.mktemp("html")
    return stored(site_of(made_reports(root)), root / "site")


@pytest.fixture(scope="module")
def committed(tmp_path_factory) -> Path:
    """Of the reports in this checkout."""
    folder, reports = tmp_path_factory.mktemp("committed"), ROOT / "reports"
    pages = html_site.collected(reports, [catalog.load(i) for i in catalog.ids()], lambda record: False)
    return stored(html_site.files(pages, html_site.assets(reports, folder)), folder)


LOOK = """(() => {
  const shown = [...document.querySelectorAll('main *, header *, footer *')].filter((e) => e.checkVisibility());
  const framed = (e) => e.closest('.scroll, .view, pre');
  const wide = shown.filter((e) => !framed(e) && e.getBoundingClientRect().right > innerWidth + 1);
  const small = shown.filter((e) => !e.closest('svg, sup, .mark') && e.textContent.trim() &&
                                    parseFloat(getComputedStyle(e).fontSize) < 11);
  return {overflow: document.documentElement.scrollWidth - innerWidth, wide: wide.map((e) => e.outerHTML.slice(0, 90)),
          small: small.map((e) => e.outerHTML.slice(0, 90)), back: getComputedStyle(document.body).backgroundColor,
          ids: new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size -
               document.querySelectorAll('[id]').length};
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_and_complains_of_nothing(page, site, committed, width, dark):
    page.complaints.clear()
    for path in sorted([*site.glob("*.html"), *committed.glob("*.html")]):
        page.open(path, width, 780, dark, touch=width == 360)
        page.js("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        seen = page.js(LOOK)
        assert seen["overflow"] <= 0 and seen["wide"] == [] == seen["small"], (path.name, seen)
        assert seen["ids"] == 0 and seen["back"] == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
        assert page.complaints == [], path.name


def test_an_error_would_be_noticed(page, site, tmp_path):
    (tmp_path / "bad.html").write_text("<script>console.error('x'); missing()</script><img src='http://127.0.0.1:9/a'>")
    page.complaints.clear()
    page.open(tmp_path / "bad.html")
    assert len(page.complaints) >= 3
    page.complaints.clear()


def test_every_link_of_the_committed_reports_leads_somewhere(committed):
    files = {p.relative_to(committed).as_posix(): p.read_bytes() for p in committed.rglob("*") if p.is_file()}
    assert len(files) > 20 and broken_links(files) == []
    for name in (n for n in files if n.endswith(".html")):
        assert Document(files[name].decode()).faults == [], name


def column(page, table: int, index: int) -> list[str]:
    return page.js(f"""[...document.querySelectorAll('table')[{table}].tBodies[0].rows]
        .filter((r) => !r.classList.contains('group')).map((r) => r.cells[{index}].textContent)""")


def order(page, table: int) -> list[str]:
    return page.js(f"""[...document.querySelectorAll('table')[{table}].tHead.rows[0].cells]
        .map((h) => h.getAttribute('aria-sort'))""")


def test_numbers_sort_both_ways_and_back(page, site):
    page.open(site / "fig1.html")
    button = ".sortable thead th:nth-child(2) button"
    before = column(page, 0, 1)
    values = sorted(float(v.split()[0]) for v in before if v[0].isdigit())
    assert len(values) == 11 and max(values) > 40 > 9 > min(values)  # as texts, 9 would follow 40
    found = []
    for expected in ("descending", "ascending", "none"):
        page.click(button)
        found.append(column(page, 0, 1))
        assert order(page, 0) == ["none", expected, *["none"] * (len(order(page, 0)) - 2)]
    assert [float(v.split()[0]) for v in found[0][:-1]] == values[::-1]
    assert [float(v.split()[0]) for v in found[1][:-1]] == values
    assert found[0][-1].startswith("failed") and found[1][-1].startswith("failed")  # no value: last either way
    assert found[2] == before


def test_a_keyboard_sorts_too(page, site):
    page.open(site / "fig1.html")
    page.js("document.querySelector('.sortable thead button').focus()")
    page.key("Enter", "\r")
    assert order(page, 0)[0] == "ascending"
    page.key(" ", " ")
    names = column(page, 0, 0)
    assert order(page, 0)[0] == "descending" and names[0] == "SimCC, stride 32" and names[3] == "SimCC, stride 4"


def test_tables_of_plain_markdown_sort_by_number(page, site):
    page.open(site / "stranger.html")
    found = {}
    for index in (1, 2, 3):
        for direction in ("ascending", "descending"):
            page.click(f".sortable thead th:nth-child({index}) button")
            assert order(page, 0)[index - 1] == direction
            found[index, direction] = column(page, 0, 0)
    assert found[1, "ascending"] == ["b 9", "b 10", "b 11"] == found[1, "descending"][::-1]
    assert found[2, "ascending"] == ["b 9", "b 10", "b 11"]  # −3.5 ± 1, 1,200, nothing
    assert found[2, "descending"] == ["b 10", "b 9", "b 11"]
    assert found[3, "ascending"] == ["b 10", "b 9", "b 11"]  # texts; nothing comes last here too
    assert found[3, "descending"] == ["b 9", "b 10", "b 11"]


def test_groups_dissolve_while_sorted(page, tmp_path):
    lines = tuple(Line(i, i, (Cell(float(ord(i)), i),), group) for i, group in zip("abcd", "XXYY", strict=True))
    made = Table("t", "T", (Column("v", "v"),), lines)
    stored(html_site.files({"a": ["# A", Shown(made), "| x | y |\n|---|---|\n| **G** | |\n| q | 1 |"]}, {}), tmp_path)
    page.open(tmp_path / "a.html")
    shown = "[...document.querySelectorAll('tr.group')].filter((r) => r.checkVisibility()).length"
    names = "[...document.querySelectorAll('.of')].filter((r) => r.checkVisibility()).length"
    before = page.js(shown)
    assert before == 3 and page.js(names) == 0
    page.js("document.querySelectorAll('table:has(tr.group) thead th:first-child button').forEach((b) => b.click())")
    assert page.js(shown) == 0 and page.js(names) == 4 and column(page, 0, 0)[0] == "aX"
    page.js("for (const n of [1, 2]) document.querySelectorAll('table:has(tr.group) thead th:first-child button')"
            ".forEach((b) => b.click())")
    assert page.js(shown) == before


def test_a_tapped_cell_tells_its_condition(page, site):
    page.open(site / "fig1.html", 360, 780, touch=True)
    x, y = page.centre(".sortable td[title]")
    page.touch("touchStart", (x, y))
    page.touch("touchEnd")
    page.wait(400)
    line = page.js("(document.querySelector('.detail[role=status]') || {}).textContent")
    assert line and "ground-truth boxes, with flip test, box x mean" in line and "n = 3" in line
    assert page.js("document.querySelector('.notes').checkVisibility()")
    page.click(".sortable td.chosen")
    assert not page.js("document.querySelector('.detail').checkVisibility()")


def view(page) -> list[float]:
    return [float(v) for v in page.js("document.querySelector('.view svg').getAttribute('viewBox')").split()]


def test_the_wheel_zooms_a_chosen_plot_only(page, site):
    page.open(site / "fig1.html")
    home = view(page)
    x, y = page.centre(".view")
    before = page.js("scrollY")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.wait(400)
    assert view(page) == home and page.js("scrollY") < before
    page.click(".view")
    before = page.js("scrollY")
    x, y = page.centre(".view")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.wait(200)
    assert page.js("scrollY") == before
    near = view(page)
    assert near[2] < 0.7 * home[2] and near[0] > home[0] and near[1] > home[1]
    assert abs(near[2] / near[3] - home[2] / home[3]) < 1e-3
    page.mouse("mousePressed", x, y, button="left", clickCount=1)
    page.mouse("mouseMoved", x - 60, y - 20, button="left", buttons=1)
    page.mouse("mouseReleased", x - 60, y - 20, button="left", clickCount=1)
    moved = view(page)
    assert moved[0] > near[0] and moved[1] > near[1] and moved[2] == near[2]
    page.click(".tools [data-act='0']")
    assert view(page) == home


def test_keys_and_buttons_zoom(page, site):
    page.open(site / "fig1.html")
    home = view(page)
    page.js("document.querySelector('.view').focus()")
    page.key("+", "+")
    first = view(page)
    assert first[2] == pytest.approx(home[2] / 1.5, rel=1e-3)
    page.key("ArrowRight")
    assert view(page)[0] > first[0]
    page.key("0", "0")
    page.click(".tools [data-act='+']")
    assert view(page)[2] == pytest.approx(home[2] / 1.5, rel=1e-3)
    assert page.js("document.querySelector('output').textContent") == "1.5×"
    for _ in range(20):
        page.key("-", "-")
    page.click(".tools [data-act='-']")
    assert view(page) == home
    page.click(".view", clicks=2)
    assert view(page)[2] == pytest.approx(home[2] / 2, rel=1e-3)


def test_two_fingers_zoom_a_plot_on_a_phone(page, site):
    page.open(site / "fig1.html", 360, 780, touch=True)
    home = view(page)
    x, y = page.centre(".view")
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 6):
        page.touch("touchMove", (x - 20 - 12 * step, y), (x + 20 + 12 * step, y))
    page.touch("touchEnd")
    page.wait(100)
    near = view(page)
    assert near[2] < 0.6 * home[2]
    page.touch("touchStart", (x, y))
    page.touch("touchMove", (x - 40, y))
    page.touch("touchMove", (x - 80, y))
    page.touch("touchEnd")
    assert view(page)[0] > near[0] and view(page)[2] == near[2]


def test_plots_change_with_the_colour_scheme(page, site):
    ground = "getComputedStyle(document.querySelector('.view svg path')).fill"
    letters = "getComputedStyle(document.querySelector('.view svg text')).fill"
    seen = {}
    for dark in (False, True):
        page.open(site / "fig1.html", dark=dark)
        seen[dark] = page.js(ground), page.js(letters)
    assert seen == {False: ("rgb(255, 255, 255)", "rgb(36, 41, 47)"), True: ("rgb(13, 17, 23)", "rgb(230, 237, 243)")}
