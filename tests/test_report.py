"""The pages as files: written once, equal everywhere, and every changed number is noticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_reports as fake
import pandas as pd
import pytest
from made_frames import frames, line

from flatpose.harness import catalog, compare, pages, report, tables
from flatpose.io import write_json

NAMES = {f"reports/{name}" for name in ("mine.md", "mine.csv", "mine.svg", "data/mine.json", "index.md")}


def write(root: Path, **options) -> set[str]:
    return {p.as_posix() for p in report.write([str(root / "mine.py")], root, **options)}


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A folder with a spec, runs/ and the pages made from them."""
    root = tmp_path_factory.mktemp("measured")
    mine = fake.experiment(root)
    fake.store(root / "runs", fake.full(mine) + fake.full(mine, fake.SUBSET, seeds=(0,)))
    assert write(root) == NAMES
    return root


@pytest.fixture
def clone(measured, tmp_path) -> Path:
    """What a clone has: the spec and the committed reports, no runs/."""
    shutil.copytree(measured, tmp_path / "clone", ignore=shutil.ignore_patterns("runs"))
    return tmp_path / "clone"


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in (root / "reports").rglob("*") if p.is_file()}


def test_second_time_nothing_changes(measured):
    assert write(measured) == set() == write(measured, check=True)


def test_a_clone_renders_the_same(clone):
    before = files(clone)
    for name in NAMES - {"reports/data/mine.json"}:
        (clone / name).unlink()
    assert write(clone, check=True) == NAMES - {"reports/data/mine.json"}
    write(clone)
    assert files(clone) == before


def test_byte_stable_in_another_process_without_torch(measured, clone):
    code = ("import sys; from pathlib import Path; from flatpose.harness import report; root = Path(sys.argv[1]);"
            "assert report.write([str(root / 'mine.py')], root, check=True) == []; assert 'torch' not in sys.modules")
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1]), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(clone)], check=True, env=env)


def test_a_changed_number_is_noticed_and_not_repaired_by_a_check(clone):
    for name in ("mine.md", "mine.csv"):
        page = clone / "reports" / name
        page.write_text(page.read_text().replace("42", "62", 1))
    assert write(clone, check=True) == {"reports/mine.md", "reports/mine.csv"} == write(clone, check=True)
    write(clone)
    path = clone / "reports/data/mine.json"
    value = json.loads(path.read_text())
    value["records"][0]["results"][0]["metrics"]["AP50"] = 0.99  # in no table, only in the CSV file
    path.write_text(json.dumps(value))
    assert "reports/mine.csv" in write(clone, check=True)


def test_newer_runs_and_leftover_pictures_make_pages_outdated(clone):
    mine = catalog.load(str(clone / "mine.py"))
    fake.store(clone / "runs", [fake.record(fake.run_of(mine.rows[0], mine), ap=0.5, ended="2032")])
    (clone / "reports/mine.old.svg").write_text("<svg/>")
    outdated = {"reports/mine.md", "reports/data/mine.json", "reports/mine.old.svg"}
    assert write(clone) >= outdated and write(clone, check=True) == set()
    assert not (clone / "reports/mine.old.svg").exists()


def test_the_csv_twin_has_every_line_of_the_frame(measured):
    found = pd.read_csv(measured / "reports/mine.csv")
    trained = found[(found["kind"] == "trained") & (found["weights"] == "ema") & (found["box_source"] == "gt")]
    assert len(trained) == 4 * 3 + 4 and trained["run_id"].str.count("/").eq(2).all()
    assert found[found["kind"] == "published"]["reference"].round(3).tolist()[:2] == [0.718, 34.0]


def test_a_table_has_costs_printed_numbers_and_differences_from_the_reference(tmp_path):
    mine = fake.experiment(tmp_path, figure=False)
    frames = fake.frames(mine, fake.full(mine), costs=fake.costs())
    evidence = frames.of("mine")
    table = tables.rows(evidence, evidence.best, compare.against_paper(mine, frames)).set_index("row")
    assert table.loc["heatmap, stride 4", "printed AP"] == "71.8"
    assert table.loc["simcc, stride 4", "difference from simcc, stride 4"] == tables.DASH
    assert table.loc["heatmap, stride 32", "difference from simcc, stride 4"].startswith("-3")
    assert table.loc["heatmap, stride 4", "verdict"] == "GFLOPs: outside tolerance"
    assert table.loc["simcc, stride 4", "printed GFLOPs"] == tables.DASH


def test_only_smoke_runs_are_shown_with_a_warning(tmp_path):
    mine = fake.experiment(tmp_path)
    fake.store(tmp_path / "runs", fake.full(mine, profile="smoke", seeds=(0,)))
    write(tmp_path)
    assert "its numbers mean nothing" in (tmp_path / "reports/mine.md").read_text()
    assert "4/4, `smoke`" in (tmp_path / "reports/index.md").read_text()


def test_costs_of_this_machine_reach_the_page(tmp_path):
    fake.experiment(tmp_path, figure=False)
    write_json(tmp_path / "runs/costs/mine.json", {"schema_version": 2, "experiment": "mine", "costs": fake.costs()})
    write(tmp_path)
    assert "GFLOPs: outside tolerance" in (tmp_path / "reports/mine.md").read_text()


def test_the_page_about_boxes_needs_no_simulation():
    made = pages.boxes(frames([]), report.public_pairs(), pd.DataFrame())
    assert set(made) == {"boxes.md", "boxes.csv", "boxes.svg"} and b"Simulated networks" not in made["boxes.md"]


def test_numbers_have_no_negative_zero_and_no_nan_and_cells_break_no_table():
    assert [tables.number(v, 1, "+") for v in (None, float("nan"), -0.04, 1.25)] == ["–", "–", "0.0", "+1.2"]
    assert tables.markdown(pd.DataFrame({"row": ["a|b\nc"], "AP": ["1.0"]})).splitlines()[2].startswith("| a\\|b c")


def test_the_commands_of_a_page_have_the_seeds_of_its_rows():
    """At least half of the rows were trained with seeds 0 and 1; one alone with seed 2, one failed."""
    made = [line("table2", row, seed, AP=0.5) for row in ("vitpose_b", "simcc", "rtmpose_l") for seed in (0, 1)]
    made += [line("table2", "hrnet_w48", 2, AP=0.5), line("table2", "hrnet_w48", 3, status="failed")]
    setting = ("quick", "d")
    assert pages._seeds(frames(made).of("table2"), setting) == " --seeds 0,1"
    assert pages._seeds(frames(made[:1]).of("table2"), setting) == "", "the experiment's own"
    assert pages._seeds(frames(made[-1:]).of("table2"), setting) == ""


def test_rows_that_differ_in_the_read_out_are_one_trained_network():
    made = [line("why", f"{row}_s32", 0, AP=0.5) for row in ("quarter", "dark", "expectation", "hrnet")]
    assert "4 of 68 rows (2 trained networks)" in pages.what_was_run(frames(made).of("why"))
