from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_reports as fake
import pytest

from flatpose.errors import DataError
from flatpose.harness import report
from flatpose.harness.collect import stale_check

CATALOG = [fake.experiment()]
STALE = stale_check(fake.current)
PAGES = {"reports/fig1.md", "reports/fig1.csv", "reports/fig1.svg", "reports/data/fig1.json", "reports/index.md",
         "reports/fig1.quick-coco-subset-1829-338-images.svg"}


def write(root, **options):
    return {p.as_posix() for p in report.write("all", root, catalog=CATALOG, stale=STALE, **options)}


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A repository with runs/ and the pages made from them."""
    root = tmp_path_factory.mktemp("measured")
    fake.store(root / "runs", fake.full() + fake.full(fake.SUBSET, seeds=(0,)))
    assert write(root) == PAGES
    return root


@pytest.fixture
def clone(measured, tmp_path) -> Path:
    """What a stranger gets: the committed reports without runs/."""
    shutil.copytree(measured / "reports", tmp_path / "clone" / "reports")
    return tmp_path / "clone"


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in (root / "reports").rglob("*") if p.is_file()}


def test_second_time_nothing_changes(measured):
    assert write(measured) == set() == write(measured, check=True)


def test_clean_clone_renders_the_same(clone):
    before = files(clone)
    assert write(clone, check=True) == set()
    for name in PAGES - {"reports/data/fig1.json"}:
        (clone / name).unlink()
    assert write(clone, check=True) == PAGES - {"reports/data/fig1.json"}
    write(clone)
    assert files(clone) == before


def test_wrong_number_in_a_page_is_caught(clone):
    page = clone / "reports/fig1.md"
    page.write_text(page.read_text().replace("42.", "62.", 1))
    assert write(clone, check=True) == {"reports/fig1.md"}
    assert "62." in page.read_text()  # a check repairs nothing


@pytest.mark.parametrize("metric", ["AP", "AP50"])
def test_wrong_number_in_the_records_is_caught(clone, metric):
    path = clone / "reports/data/fig1.json"
    value = json.loads(path.read_text())
    value["records"][0]["results"][0]["metrics"][metric] = 0.99
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    assert "reports/fig1.md" in write(clone, check=True)


def test_wrong_number_in_the_picture_and_table_twin_is_caught(clone):
    for name in ("reports/fig1.svg", "reports/fig1.csv"):
        path = clone / name
        path.write_text(path.read_text().replace("71.8", "81.8").replace(",gt", "").replace("0.", "1.", 1))
    assert write(clone, check=True) >= {"reports/fig1.svg", "reports/fig1.csv"}


def test_newer_runs_and_leftover_pictures_make_pages_outdated(clone):
    rerun = fake.record(fake.run_of(CATALOG[0].rows[0]), ap=0.5, ended="2032-01-01")
    fake.store(clone / "runs", [rerun])
    (clone / "reports/fig1.old-setting.svg").write_text("<svg/>")
    outdated = {"reports/fig1.md", "reports/data/fig1.json", "reports/fig1.old-setting.svg"}
    assert write(clone, check=True) >= outdated
    assert write(clone) >= outdated and write(clone, check=True) == set()
    assert not (clone / "reports/fig1.old-setting.svg").exists()


def test_byte_stable_in_another_process(measured, tmp_path):
    """Another hash seed, another process, no torch, no runs/: the same bytes."""
    shutil.copytree(measured / "reports/data", tmp_path / "reports/data")
    code = ("import sys, test_report; from pathlib import Path; test_report.write(Path(sys.argv[1]));"
            "assert 'torch' not in sys.modules")
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=env)
    assert files(tmp_path) == files(measured)


def test_costs_come_from_runs(tmp_path):
    (tmp_path / "runs/costs").mkdir(parents=True)
    (tmp_path / "runs/costs/fig1.json").write_text(json.dumps(fake.costs()))
    write(tmp_path)
    assert "## Cost of the paper-size models" in (tmp_path / "reports/fig1.md").read_text()


def test_comparisons(measured, clone):
    found = report.comparisons(CATALOG[0], clone, stale=STALE)
    assert {c.verdict for c in found} == {"not comparable"}
    for other in (measured / "runs", measured / "reports/data/fig1.json"):
        found = report.comparisons(CATALOG[0], clone, against=other)
        assert len(found) == 48 + 48 and {c.verdict for c in found} == {"within tolerance"}
        json.dumps([c.to_dict() for c in found], allow_nan=False)
    with pytest.raises(DataError, match="no such file"):
        report.comparisons(CATALOG[0], clone, against=clone / "nowhere.json")


def test_a_run_committed_with_another_experiment_is_shown_without_runs(clone):
    """``boxes`` and Table 3 consist of other experiments' runs, which a clone has in their files alone."""
    other = replace(fake.experiment(), id="other", rows=fake.experiment().rows[:2])
    report.write(["other"], clone, catalog=[*CATALOG, other], stale=STALE)
    ours, theirs = (json.loads((clone / f"reports/data/{name}.json").read_text())["records"]
                    for name in ("other", "fig1"))
    assert 0 < len(ours) < len(theirs) and all(record in theirs for record in ours)
    assert report.write(["other"], clone, catalog=[*CATALOG, other], stale=STALE, check=True) == []
