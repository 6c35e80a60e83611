"""Published numbers that can be compared stand out; the others take one line per row, and lose nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from flatpose.harness import catalog, collect, comparison_tables, page, render
from flatpose.harness.collect import RecordSet
from flatpose.harness.compare import against_paper

DATA = Path(__file__).parents[1] / "reports" / "data"
TABLE2 = catalog.load("table2")
COSTS = collect.load(DATA / "table2.json", "table2").costs


def made(*names: str) -> RecordSet:
    return RecordSet("table2", costs=tuple(c for c in COSTS if c["row"] in names))


def test_each_published_number_stands_in_one_of_the_two_tables():
    comparisons = against_paper(TABLE2, made("hrnet_w48", "sharpose_base_384"))
    beside, alone = comparison_tables.tables(TABLE2, comparisons)
    said = [cell for line in alone.rows for cell, column in zip(line.cells, alone.columns, strict=True)
            if column.numeric and cell.value is not None]
    assert len(beside.rows) == 4 and len(said) + 4 == len(comparisons) == 91
    assert {line.group for line in beside.rows} == {"256x192", "384x288"}
    assert not {"boxes"} & {c.key for c in beside.columns}, "no metric is compared, so none of them has boxes"


def test_the_quantity_names_the_convention_and_the_foot_explains_it():
    beside, _ = comparison_tables.tables(TABLE2, against_paper(TABLE2, made("hrnet_w48", "flatpose_b")))
    named = {(line.label, line.cells[0].value) for line in beside.rows}
    assert ("HRNet-W48", "GFLOPs, HRNet's tool") in named and ("FlatPose-B", "GFLOPs, every matmul") in named
    assert len(beside.notes) == 2 and any("2^30" in note for note in beside.notes)


def test_what_is_known_of_a_printed_number_is_its_footnote():
    _, alone = comparison_tables.tables(TABLE2, against_paper(TABLE2, RecordSet("table2", costs=COSTS)))
    assert len(alone.rows) == 16
    notes = {line.id: line.cells[0].note for line in alone.rows}
    assert notes["flatpose_b"] == "boxes: probably ground truth (reading R15)" and notes["hrnet_w48"] == ""
    assert notes["rtmpose_l"].startswith("print is wrong (of an RTMPose-l")


def test_the_page_folds_what_cannot_be_compared_and_the_csv_keeps_it():
    records = RecordSet("table2", costs=COSTS)
    text = page.page(TABLE2, records, {})
    folded = text.index("<details><summary>Published numbers")
    assert text.index("| HRNet-W48 | GFLOPs, HRNet's tool | 14.60 |") < folded < text.index("| 75.1 | 90.6 | 82.2 |")
    rows = list(csv.DictReader(io.StringIO(render.to_csv(page.tables(TABLE2, records)))))
    assert [r["value"] for r in rows if (r["table"], r["row"], r["column"]) == ("unmeasured", "vitpose_b", "AR")] == [
        "80.9"]


def test_nothing_to_compare_leaves_one_open_table():
    text = page.page(TABLE2, RecordSet("table2"), {})
    assert "## Published numbers that nothing here can be compared with" in text and "<details>" not in text


def test_readings_have_titles_and_links_and_those_of_all_rows_stand_together():
    text = page.page(catalog.load("table1"), RecordSet("table1"), {})
    part = text[text.index("## Readings of the paper"):]
    assert "All rows:\n\n- [R1: Is gamma of eq. 5 learned?](readings.md#r1-is-gamma-of-eq-5-learned)" in part
    assert part.index("[R3:") < part.index("[R11:")
    part = page.page(TABLE2, RecordSet("table2"), {})
    assert "All rows:\n\n- [R15:" in part and "FlatPose-B, FlatPose-L (256x192), FlatPose-L (384x288):" in part
