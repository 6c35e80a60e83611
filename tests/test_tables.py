from __future__ import annotations

import fake_reports as fake
import pytest

from flatpose.harness import collect, tables
from flatpose.harness.collect import RecordSet

EXPERIMENT = fake.experiment()


def table_of(records, stale=None):
    [setting] = collect.settings(EXPERIMENT, RecordSet("fig1", tuple(records)))
    return tables.measured_table(EXPERIMENT, setting, stale)


def cells(table, row):
    line = next(line for line in table.rows if line.id == row)
    return dict(zip((c.key for c in table.columns), line.cells, strict=True))


def test_metric_cell_shows_mean_interval_and_n():
    run = fake.run_of(EXPERIMENT.rows[0])
    found = cells(table_of([fake.record(run, seed=s, ap=ap) for s, ap in enumerate((0.40, 0.41, 0.42))]), "heatmap_s4")
    cell = found["AP_gt"]
    assert (cell.display, cell.n, found["seeds"].display) == ("41.0 ± 2.5", 3, "3")
    assert cell.run_ids == tuple(f"{fake.spec_hash(run)}/seed{s}/embedded0000" for s in range(3))
    assert found["AP_det:person_boxes.json"].display == "38.0 ± 2.5"


def test_rules_are_letters_that_the_foot_explains():
    made = [fake.record(fake.run_of(row)) for row in EXPERIMENT.rows[:3]]
    for entry in made[1]["results"]:
        entry["score_rule"] = "box score alone"
    table = table_of(made)
    assert [cells(table, row.id)["condition"].display for row in EXPERIMENT.rows[:4]] == ["a", "b", "a", "—"]
    assert cells(table, "heatmap_s8")["condition"].value == "with flip test, box score alone"
    assert table.notes == ("rule a: with flip test, box x mean keypoint score > 0.2, OKS-NMS 0.9",
                           "rule b: with flip test, box score alone")
    assert "box score alone" in cells(table, "heatmap_s8")["AP_gt"].condition


def test_one_seed_shows_its_interval_over_images():
    run = fake.run_of(EXPERIMENT.rows[0])
    cell = cells(table_of([fake.record(run, ap=0.40)]), "heatmap_s4")["AP_gt"]
    assert (cell.display, cell.n, cell.half_width) == ("40.0 [38.0, 41.0]", 1, None)
    several = cells(table_of([fake.record(run, seed=s, ap=0.40 + s / 100) for s in (0, 1)]), "heatmap_s4")["AP_gt"]
    assert "[" not in several.display and several.bootstrap == pytest.approx((38.5, 41.5))


def test_without_a_bootstrap_one_seed_has_no_interval():
    record = fake.record(fake.run_of(EXPERIMENT.rows[0]), ap=0.40)
    for entry in record["results"]:
        del entry["bootstrap"]
    assert cells(table_of([record]), "heatmap_s4")["AP_gt"].display == "40.0"


def test_every_empty_cell_explains_itself():
    made = [fake.record(fake.run_of(EXPERIMENT.rows[0])), fake.failed(fake.run_of(EXPERIMENT.rows[1]))]
    table = table_of(made)
    empty = [cell for line in table.rows for cell in line.cells if cell.value is None]
    assert empty and all(cell.note for cell in empty)
    assert cells(table, "heatmap_s8")["AP_gt"].display == "failed"
    assert cells(table, "heatmap_s8")["AP_gt"].note == "seed 0 failed: loss became NaN | at step 7"
    assert cells(table, "simcc_s4")["AP_gt"].note == "no record at quick · embedded v1 (2000/300 images)"


def test_all_rows_are_there_also_when_one_failed():
    run = fake.run_of(EXPERIMENT.rows[3])
    others = [r for r in fake.full(seeds=(0,)) if r["spec_hash"] != fake.spec_hash(run)]
    table = table_of([*others, fake.failed(run)])
    assert [line.id for line in table.rows] == [row.id for row in EXPERIMENT.rows]
    assert sum(cells(table, row.id)["AP_gt"].status == "done" for row in EXPERIMENT.rows) == 11


def test_stale_cells_are_marked():
    made = [fake.record(fake.run_of(EXPERIMENT.rows[0]), code_hash="older")]
    table = table_of(made, collect.stale_check(fake.current))
    assert cells(table, "heatmap_s4")["AP_gt"].status == "stale"


def test_conditions_stand_under_the_table():
    made = fake.full(seeds=(0,))
    assert table_of(made).notes == ("with flip test, box x mean keypoint score > 0.2, OKS-NMS 0.9",)
    for entry in made[0]["results"]:
        entry["flip_test"] = False
    mixed = table_of(made)
    assert [note[:18] for note in mixed.notes] == ["rule a: without fl", "rule b: with flip "]
    assert cells(mixed, "heatmap_s4")["condition"].value.startswith("without flip test")


def test_weights_table_needs_both():
    [setting] = collect.settings(EXPERIMENT, RecordSet("fig1", tuple(fake.full(seeds=(0,)))))
    table = tables.weights_table(EXPERIMENT, setting)
    assert table and [c.key for c in table.columns] == ["ema", "raw"]
    for record in setting.records:
        record["results"] = [r for r in record["results"] if r["weights"] != "raw"]
    assert tables.weights_table(EXPERIMENT, setting) is None


def test_cost_table():
    assert tables.cost_table(EXPERIMENT, RecordSet("fig1")) is None
    table = tables.cost_table(EXPERIMENT, RecordSet("fig1", costs=tuple(fake.costs()[:1])))
    assert [c.display for c in table.rows[0].cells] == ["34.00", "5.45", "8.90"]
    assert table.rows[1].cells[0].note == "cost not computed"


def test_rows_never_run_are_named_below_a_page_s_table():
    table = table_of([fake.record(fake.run_of(EXPERIMENT.rows[0])), fake.failed(fake.run_of(EXPERIMENT.rows[1]))])
    short = tables.condensed(table)
    assert [line.id for line in short.rows] == ["heatmap_s4", "heatmap_s8"] and len(table.rows) == 12
    assert short.notes[-1].startswith("not run here (no record at quick · embedded v1 (2000/300 images)): heatmap, "
                                      "stride 16, heatmap, stride 32, SimCC, stride 4")
    assert tables.condensed(short) == short
