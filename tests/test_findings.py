"""What the sentences of the pages say when little, nothing, or too little was measured; and that they stay short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_reports as fake
import pytest

from flatpose.harness import catalog, collect, compare, findings
from flatpose.harness.collect import RecordSet

DATA = Path(__file__).parents[1] / "reports" / "data"
FIGURE = fake.experiment()
TABLE = replace(FIGURE, figure=None)


def finding(experiment, *records):
    [setting] = collect.settings(experiment, RecordSet("fig1", records))
    return findings.finding(experiment, setting)


def made(*aps, seeds=(0,)):
    return [fake.record(fake.run_of(row), seed=s, ap=ap) for row, ap in zip(TABLE.rows, aps, strict=False)
            for s in seeds]


@pytest.mark.parametrize("aps, expected", [
    ([0.102], "One row measured: AP 10.2 [8.2, 11.2] (heatmap, stride 4)."),
    ([0.009, 0.001], "All 2 rows measured are at the floor (below 1 AP): nothing can be told from their order."),
    ([0.009, 0.2, 0.3], "The best of 3 rows has 30.0 AP (heatmap, stride 16); 1 is at the floor (below 1 AP), where "
                        "order tells nothing."),
    ([0.1, 0.2], "AP lies between 10.0 (heatmap, stride 4) and 20.0 (heatmap, stride 8) over 2 rows."),
])
def test_rows(aps, expected):
    assert finding(TABLE, *made(*aps)) == expected


def test_one_row_with_seeds_has_its_interval():
    assert finding(TABLE, *made(0.1, seeds=(0, 1))) == "One row measured: AP 10.0 ± 0.0 (heatmap, stride 4)."


def test_curves_on_the_floor_say_nothing_of_their_direction():
    assert finding(FIGURE, *made(*[0.001] * 12)).startswith("All 12 rows measured are at the floor")


def test_one_seed_decides_by_intervals_over_images():
    """Intervals reach from 2 below to 1 above: 10 and 12 meet, 10 and 14 do not."""
    text = finding(FIGURE, *made(0.10, 0.1, 0.1, 0.12, 0.10, 0.1, 0.1, 0.14, 0.14, 0.1, 0.1, 0.10))
    assert text == ("From feature-map stride 4 to 32, AP: heatmap 10.0 → 12.0 (within noise); SimCC rises 10.0 → 14.0; "
                    "FlatPose falls 14.0 → 10.0 (n = 1; intervals over images).")


def test_table_6_counts_hyper_parameters():
    experiment = catalog.load("table6")
    assert findings.comparison_finding(compare.against_paper(experiment, RecordSet("table6"))).startswith("None of 10")
    built = {**experiment.rows[0].published.built, "S": 17}
    records = RecordSet("table6", costs=({"row": "b", "params_m": 21.6, "table6": built},))
    found = compare.against_paper(experiment, records)
    assert findings.comparison_finding(found) == "9 of 10 printed hyper-parameters are those of the built network."
    assert [(c.quantity, c.measured) for c in found if c.verdict == compare.OUTSIDE] == [("S", 17)]
    assert findings.worst_deviation(found) == ""


def test_misprints_are_counted_apart_and_quantities_have_printed_names():
    said = findings.comparison_finding(compare.against_paper(
        catalog.load("table2"), collect.load(DATA / "table2.json", "table2")))
    assert said.startswith("31 of 31 comparable") and said.endswith("; 1 more is a misprint.")
    assert "params_m" not in said and "gflops" not in said


@pytest.mark.parametrize("name", catalog.ids())
def test_findings_of_the_committed_records_are_short(name):
    experiment, records = catalog.load(name), collect.load(DATA / f"{name}.json", name)
    texts = [findings.summary(collect.part_of(experiment, s), records, s)
             for s in collect.settings(experiment, records)]
    texts.append(findings.comparison_finding(compare.against_paper(experiment, records)))
    for text in texts:
        assert len(text.split()) < 36, text


def test_a_row_above_its_ceiling_is_explained():
    """One's own data with a coarse heatmap: 75.9 beside a "ceiling" of 72.3 looked like a mistake."""
    first, second, *_ = TABLE.rows
    records = [fake.record(fake.run_of(first), ap=0.759, ceiling=0.723),
               fake.record(fake.run_of(second), ap=0.7, ceiling=0.723)]
    [setting] = collect.settings(TABLE, RecordSet("fig1", records))
    text = findings.ceiling_finding(TABLE, setting)
    assert text.startswith("heatmap, stride 4: above the codec ceiling. That is the score of a network that gives")
    [setting] = collect.settings(TABLE, RecordSet("fig1", records[1:]))
    assert findings.ceiling_finding(TABLE, setting) == ""
