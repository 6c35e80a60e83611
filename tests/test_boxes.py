"""`boxes`: the rows are other experiments' runs; the difference is paired, its intervals and sentences follow."""

from __future__ import annotations

from dataclasses import replace

import fake_reports as fake
import pytest

from flatpose.config.run import spec_hash, to_dict
from flatpose.harness import boxes, catalog
from flatpose.harness.collect import RecordSet, settings
from flatpose.harness.page import page
from flatpose.harness.page import tables as page_tables
from flatpose.harness.spec import at_profile

EXPERIMENT = replace(fake.experiment(), id="boxes", figure=None, headline="boxes")
ROW = EXPERIMENT.rows[0]


def record(seed: int, gt: float, det: float, bootstrap: bool = True) -> dict:
    """One run on both sources: AR 2 points above AP with ground truth, 5 with detector boxes."""
    made = fake.record(fake.run_of(ROW), seed=seed, ap=gt)
    for entry in made["results"]:
        value = det if entry["box_source"] != "gt" else gt
        entry["metrics"] = {"AP": value, "AP50": value + 0.2, "AR": value + (0.02 if value == gt else 0.05)}
        half = 0.03 if value == gt else 0.04
        entry["bootstrap"] = {"AP": [value - half, value + half]} if bootstrap else {}
    return made


def setting_of(*records: dict):
    return settings(EXPERIMENT, RecordSet("boxes", records))[0]


def cells(setting) -> dict[str, object]:
    table = boxes.table(EXPERIMENT, setting)
    return {c.key: cell for c, cell in zip(table.columns, table.rows[0].cells, strict=True)}


def test_the_difference_is_paired_by_run():
    """Seeds scatter by 10 AP, the difference by 1: unpaired, nothing could be seen."""
    found = cells(setting_of(record(0, 0.50, 0.47), record(1, 0.60, 0.58), record(2, 0.70, 0.67)))
    assert found["AP_gt"].value == pytest.approx(60) and found["AP_det"].value == pytest.approx(100 * 1.72 / 3)
    assert found["difference"].value == pytest.approx(8 / 3) and found["difference"].display == "+2.7"
    assert found["seeds_interval"].value == pytest.approx(4.303 * 0.57735 / 3 ** 0.5, abs=1e-3)
    assert found["images_interval"].value == pytest.approx(5.0)  # 3 and 4 at a right angle
    assert found["gap_gt"].value == pytest.approx(2) and found["gap_det"].value == pytest.approx(5)
    assert len(found["difference"].run_ids) == 3


def test_one_seed_has_no_interval_and_says_so():
    found = cells(setting_of(record(0, 0.5, 0.47, bootstrap=False)))
    assert found["seeds_interval"].value is None and found["seeds_interval"].note == "one seed"
    assert found["images_interval"].note == "no bootstrap" and found["difference"].display == "+3.0"


def test_rows_that_were_not_run_are_dashes_with_a_reason():
    table = boxes.table(EXPERIMENT, setting_of(record(0, 0.5, 0.47)))
    assert all(cell.value is None and cell.note for cell in table.rows[1].cells)
    assert len({len(line.cells) for line in table.rows}) == 1


def test_no_table_without_both_sources():
    only = record(0, 0.5, 0.47)
    only["results"] = [r for r in only["results"] if r["box_source"] == "gt"]
    assert boxes.table(EXPERIMENT, setting_of(only)) is None
    assert "both box sources" in boxes.finding(EXPERIMENT, setting_of(only))


def test_the_page_opens_with_the_table_and_the_finding():
    text = page(EXPERIMENT, RecordSet("boxes", (record(0, 0.50, 0.47),)), {})
    assert "give 3.0 AP more than the detector's (median +3.0)" in text
    assert "AR − AP is 2.0 with ground-truth boxes and 5.0 with detector boxes" in text
    assert text.index("gt − det") < text.index("<details>")


def test_rows_that_the_profile_leaves_out_are_not_lines_of_the_table():
    setting = replace(setting_of(record(0, 0.5, 0.47)), left_out={EXPERIMENT.rows[1].id: "too large"})
    expected = [row.id for row in EXPERIMENT.rows if row is not EXPERIMENT.rows[1]]
    assert [line.id for line in boxes.table(EXPERIMENT, setting).rows] == expected


def test_rows_that_share_a_run_are_one_system():
    setting = setting_of(record(0, 0.5, 0.47))
    shared = replace(setting, rows={row.id: setting.rows[ROW.id] for row in EXPERIMENT.rows[:2]})
    assert boxes.finding(EXPERIMENT, shared).startswith("Over 1 systems")


@pytest.mark.parametrize("name", ["quick", "synth", "paper", "mini"])
def test_each_row_has_the_run_that_it_has_in_its_own_experiment(name):
    """Nothing is trained for this page: its profiles, written otherwise, give every row the same run."""
    from experiments.boxes import PARTS

    here, home = catalog.load("boxes"), {f"{e.id}_{row.id}": (e, row) for e in PARTS.values() for row in e.rows}
    profile = here.profiles[name]
    compared = [row for row in here.rows if row.id not in profile.left_out]
    for row in compared:
        theirs, own = home[row.id]
        assert spec_hash(at_profile(row.run, profile)) == spec_hash(at_profile(own.run, theirs.profiles[name])), row.id
    groups = {row.group for row in compared}
    assert groups == ({"Fig. 1"} if name == "mini" else set(PARTS))


def test_benchmarks_have_a_setting_each(tmp_path):
    """CrowdPose's rows stand apart from COCO's, whose persons and OKS are others."""
    experiment = catalog.load("boxes")
    made = []
    for row_id, data in (("table2_hrnet_w48", "1" * 12), ("table4_hrnet_w32_crowdpose", "2" * 12)):
        row = next(r for r in experiment.rows if r.id == row_id)
        run = at_profile(row.run, experiment.profiles["quick"], source="embedded")
        made.append({**record(0, 0.5, 0.47), "spec": to_dict(run), "spec_hash": spec_hash(run), "profile": "quick",
                     "data_id": data})
    tables = [t for _, t in page_tables(experiment, RecordSet("boxes", tuple(made))) if t.id == "boxes"]
    coco, crowd = ({line.id for line in table.rows} for table in tables)
    assert "table2_hrnet_w48" in coco and {row.split("_")[0] for row in crowd} == {"table4"}
    assert not coco & crowd


def test_every_row_is_a_run_of_another_experiment():
    """Nothing is trained for this page: at quick its runs are those of Fig. 1 and the tables."""
    experiment = catalog.load("boxes")
    others = [catalog.load(name) for name in catalog.ids() if name != "boxes"]
    known = {spec_hash(at_profile(row.run, e.profiles["quick"])) for e in others for row in e.rows}
    profile = experiment.profiles["quick"]
    rows = [spec_hash(at_profile(row.run, profile)) for row in experiment.rows if row.id not in profile.left_out]
    assert set(rows) <= known and len(set(rows)) > 30
    assert {"fig1_heatmap_s4", "fig1_flatpose_s32"} <= {row.id for row in experiment.rows}
    assert all(set(row.run.eval.box_sources) == {"gt", "det"} for row in experiment.rows)
