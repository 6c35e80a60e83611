from __future__ import annotations

import csv
import io
from dataclasses import replace

import fake_reports as fake
import pytest

from flatpose.harness import index_page, page, render
from flatpose.harness.collect import RecordSet, stale_check
from flatpose.harness.tables import Cell, Column, Line, Table

EXPERIMENT = fake.experiment()
STALE = stale_check(fake.current)


def records(*, failures=True):
    made = fake.full() + fake.full(fake.SUBSET, seeds=(0,))
    run = fake.run_of(EXPERIMENT.rows[5])
    if failures:
        made = [r for r in made if r["spec_hash"] != fake.spec_hash(run)] + [fake.failed(run)]
    return RecordSet("fig1", tuple(made), tuple(fake.costs()))


def rendered(found=None, experiment=EXPERIMENT, stale=STALE):
    return page.page(experiment, found or records(), {}, stale)


def test_markdown_marks_and_footnotes():
    table = Table("t", "T", (Column("a", "a", direction="higher"), Column("b", "b", "M")), (
        Line("r1", "with | bar", (Cell(1.0, "1.0", "stale"), Cell(None, "failed", "failed", "out of memory"))),
        Line("r2", "two", (Cell(None, "—", "empty", "out of memory"), Cell(None, "—", "empty", "never asked"))),
    ), ("flip test",))
    assert render.to_markdown(table).splitlines() == [
        "| row | a ↑ | b (M) |", "| --- | --: | --: |", "| with \\| bar | 1.0 † | failed¹ |", "| two | —¹ | —² |", "",
        "flip test<br>", "¹ out of memory<br>", "² never asked<br>",
        "† measured by older code; `--rerun stale` measures it again"]


def test_groups_become_heading_rows():
    groups = {"a": "Part A", "b": "Part A", "c": "Part B"}
    rows = tuple(Line(i, i, (Cell(1.0, "1.0"),), group) for i, group in groups.items())
    lines = render.to_markdown(Table("t", "T", (Column("x", "x"),), rows)).splitlines()
    assert [line for line in lines if "**" in line] == ["| **Part A** |  |", "| **Part B** |  |"]


def test_csv_is_the_twin_of_every_table():
    found = page.tables(EXPERIMENT, records(), STALE)
    rows = list(csv.DictReader(io.StringIO(render.to_csv(found))))
    assert len(rows) == sum(len(t.rows) * len(t.columns) for _, t in found)
    failed = next(r for r in rows if r["row"] == "simcc_s8" and r["column"] == "AP_gt")
    assert failed["value"] == "" and failed["status"] == "failed" and "NaN" in failed["note"]
    assert next(r for r in rows if r["row"] == "heatmap_s4" and r["column"] == "AP_gt")["runs"].count("/seed") == 3


def test_csv_and_page_have_the_interval_over_images():
    one, three = RecordSet("fig1", tuple(fake.full(seeds=(0,)))), RecordSet("fig1", tuple(fake.full()))
    rows = list(csv.DictReader(io.StringIO(render.to_csv(page.tables(EXPERIMENT, one, STALE)))))
    cell = next(r for r in rows if r["row"] == "heatmap_s4" and r["column"] == "AP_gt")
    low, value, high = (float(cell[name]) for name in ("bootstrap_low", "value", "bootstrap_high"))
    assert (low, high) == pytest.approx((value - 2, value + 1), abs=1e-3) and cell["half_width"] == ""
    assert "one seed: AP [95 % bootstrap interval over images]" in rendered(one)
    assert "One seed: no interval over seeds." in rendered(one) and "bootstrap" not in rendered(three)


def test_terminal_table_names_the_rows():
    from rich.console import Console

    console = Console(width=160, file=io.StringIO())
    console.print(render.to_rich(page.tables(EXPERIMENT, records(), STALE)[0][1]))
    assert "SimCC, stride 8" in console.file.getvalue() and "failed" in console.file.getvalue()


def test_page_tells_conditions_failures_and_provenance():
    text = rendered()
    for expected in (
        "## quick · embedded v1 (2000/300 images)", "## quick · COCO subset (1829/338 images)",
        "> Not comparable with the paper's numbers: quick profile, embedded data.",
        "6 epochs × 5,213 persons = 31,278 crops, batch size 32: the same for every point",
        "ground-truth boxes, detector boxes (person_boxes.json)", "with flip test, box x mean keypoint score",
        "- `simcc_s8`, seed 0: loss became NaN \\| at step 7", "1 row failed", "git `0123456789`; cpu, a CPU", "sha256",
        "flatpose-exp run fig1 --profile quick --seeds 0,1,2", "--data-root DIR --seeds 0", "torch 2.15.0",
        "All rows:\n\n- `fig1-sigma`", "- Only the two ends of the heatmap curve are known.", "Detectable difference",
        "`resnet_quick` stands in for resnet50", "EMA against raw weights", "heatmap 99.5 → 31.0",
    ):
        assert expected in text, expected


def test_finding_of_curves():
    made = [fake.record(fake.run_of(r), seed=s, ap=fake.TRUTH[r.series][0 if r.x == 4 else 3] + s / 500)
            for r in EXPERIMENT.rows if r.x in (4, 32) and r.series != "FlatPose" for s in (0, 1)]
    assert ("From feature-map stride 4 to 32, AP: heatmap falls 42.1 → 3.1; SimCC falls 41.1 → 38.1; "
            "FlatPose: not run at 4 and not run at 32 (n = 2 per point).") in rendered(RecordSet("fig1", tuple(made)))


def test_finding_does_not_call_noise_a_change():
    made = [fake.record(fake.run_of(r), seed=s, ap=0.4 + 0.03 * s + 0.001 * r.x)
            for r in EXPERIMENT.rows for s in (0, 1, 2)]
    assert "heatmap 43.4 → 46.2 (within noise)" in rendered(RecordSet("fig1", tuple(made)))


def test_unequal_budgets_are_shown():
    found = records()
    found.records[0]["train"]["epochs"] = 60
    assert "**Training budget** differs: " in rendered(found)


def test_orphans_are_listed():
    stranger = fake.record(replace(fake.run_of(EXPERIMENT.rows[0]), image_size=(32, 32)), ap=0.987)
    text = rendered(RecordSet("fig1", (*fake.full(), stranger)))
    assert "## Orphaned records" in text and stranger["spec_hash"] in text and "98.7" not in text


def test_stale_mark():
    made = fake.full(seeds=(0,))
    made[0]["code_hash"] = "older"
    lines = rendered(RecordSet("fig1", tuple(made))).splitlines()
    assert any(line.startswith("| heatmap, stride 4 |") and "†" in line for line in lines)
    assert not any(line.startswith("| SimCC, stride 4 |") and "†" in line for line in lines)


def test_smoke_is_watermarked():
    smoke = fake.record(fake.run_of(EXPERIMENT.rows[0], "smoke"))
    assert "Its numbers mean nothing" in rendered(RecordSet("fig1", (smoke,)))


def test_page_without_records_and_index():
    text = rendered(RecordSet("fig1"))
    assert "Nothing has been measured yet." in text and "not run (needs COCO)" in text
    text = index_page.index([(EXPERIMENT, records()), (replace(EXPERIMENT, id="other"), RecordSet("other"))])
    assert "[fig1: Accuracy against feature-map resolution](fig1.md)" in text
    assert "11/12 rows, 3 seeds, 1 row failed" in text and "0/12 rows" in text and "nothing trained yet" in text
