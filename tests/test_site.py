"""The documentation site in a real browser, at the width of a desktop and of a phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
WIDTHS = {"desktop": 1280, "phone": 390}
TARGETS = "e => [...e.querySelectorAll('a[href], img[src]')].map(x => x.href || x.src)"
COLUMN = """th => [...th.closest('table').tBodies[0].rows].map(
    r => parseFloat(r.cells[th.cellIndex].textContent.replace('−', '-').match(/-?\\d+(\\.\\d+)?/)?.[0]))
    .filter(x => !isNaN(x))"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site as `make site` builds it, from a copy: every test process has one of its own."""
    tools = Path(sys.executable).parent
    if not (tools / "zensical").exists() or shutil.which("git") is None:
        pytest.skip("needs zensical and git (make setup)")
    copy = tmp_path_factory.mktemp("checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    subprocess.run("git init -q && git add -A", shell=True, cwd=copy, check=True)
    built = subprocess.run(["make", "-o", "setup", f"BIN={tools}", "site"], cwd=copy, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return copy / "site"


@pytest.fixture(scope="module")
def site(pages: Path) -> Iterator[str]:
    """Address at which the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(pages)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium, Chrome or Edge: $FLATPOSE_BROWSER or the first on the path."""
    driver = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("FLATPOSE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium, Chrome or Edge on the path (or in $FLATPOSE_BROWSER)")
    with driver.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def leads_nowhere(target: str, site: str, pages: Path) -> bool:
    """Whether a link or image of the site's own has no file, or its fragment no element."""
    address, fragment = urldefrag(target)
    if not address.startswith(site):
        return False
    file = pages / unquote(urlparse(address).path).lstrip("/")
    file = file / "index.html" if file.is_dir() else file
    if not file.is_file():
        return True
    return bool(fragment) and f'id="{unquote(fragment)}"' not in file.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_every_page_opens(site, pages, chromium, width):
    """No error in the console, no dead link or image of our own, nothing wider than the window."""
    page = chromium.new_page(viewport={"width": width, "height": 844})
    faults: list[str] = []
    page.on("console", lambda message: message.type == "error" and faults.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    for file in sorted(pages.rglob("*.html")):
        if file.name == "404.html":
            continue
        page.goto(site + file.relative_to(pages).as_posix(), wait_until="load")
        assert page.locator("article h1").count() == 1, page.url
        wide = page.evaluate("document.documentElement.scrollWidth")
        faults += [f"{page.url}: {wide} pixels wide"] if wide > width else []
        dead = {t for t in page.locator("html").evaluate(TARGETS) if leads_nowhere(t, site, pages)}
        faults += [f"{page.url}: {t} leads nowhere" for t in sorted(dead)]
    page.close()
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_table_sorts(site, chromium, width):
    page = chromium.new_page(viewport={"width": width, "height": 844})
    page.goto(site + "reports/table2.html")
    heading = next(h for h in page.locator("article table thead th").all()
                   if h.is_visible() and len(set(h.evaluate(COLUMN))) > 3)
    heading.click()
    assert heading.evaluate(COLUMN) == sorted(heading.evaluate(COLUMN))
    heading.click()
    assert heading.evaluate(COLUMN) == sorted(heading.evaluate(COLUMN), reverse=True)
    page.close()
