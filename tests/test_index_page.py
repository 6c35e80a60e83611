"""The index as a stranger reads it: short cells, and what is stale or at another scale says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_reports as fake

from flatpose.harness import catalog, collect, index_page, pictures_table
from flatpose.harness.collect import RecordSet

REPORTS = Path(__file__).parents[1] / "reports"
EXPERIMENT = fake.experiment()


def row_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| [{name}:"))
    return line.strip("| ").split(" | ")


def test_answers_come_first_and_the_picture_follows_the_first(tmp_path):
    text = index_page.index([(EXPERIMENT, RecordSet("fig1"))], None, {"Is it cheap?": "- Yes.", "Is it good?": "No."},
                            "plot.svg")
    order = [text.index(part) for part in ("## Is it cheap?", "- Yes.", "plot.svg", "## Is it good?", "## Experiments")]
    assert order == sorted(order)


def test_stale_runs_are_counted():
    made = fake.full(seeds=(0,))
    records = RecordSet("fig1", tuple(made))
    done = [r for r in made if r["status"] == "done"]
    fresh = row_of(index_page.index([(EXPERIMENT, records)]), "fig1")[1]
    some = index_page.index([(EXPERIMENT, records)], stale=lambda r: r["spec_hash"] == done[0]["spec_hash"])
    every = index_page.index([(EXPERIMENT, records)], stale=lambda r: True)
    assert "stale" not in fresh and f"; 1 of {len(done)} runs stale" in row_of(some, "fig1")[1]
    assert row_of(every, "fig1")[1].endswith("; all runs stale")


def test_a_drawing_has_its_day_device_and_networks_and_says_when_it_is_stale():
    fig3 = catalog.load("fig3")
    records = collect.load(REPORTS / "data" / "fig3.json", "fig3")
    drawing = records.drawings[0]
    _, state, measured, when, *_ = row_of(index_page.index([(fig3, records)], stale=lambda r: True), "fig3")
    assert state == "drawn, stale"
    assert measured == f"{pictures_table.title(drawing)}: {pictures_table.accuracy(drawing)}"
    assert when == f"{drawing['provenance']['ended'][:10]}, {drawing['provenance']['cpu']}"
    assert row_of(index_page.index([(fig3, replace(records, drawings=()))]), "fig3")[1:4] == ["not drawn", "—", "—"]


def test_a_finding_is_one_sentence():
    text = "Fig. 1 falls by 3.1. It rises (see Table 2). So what?"
    assert index_page.first_sentence(text) == "Fig. 1 falls by 3.1."


def test_the_scale_of_everything_is_said_once():
    quick = RecordSet("fig1", tuple(fake.full(seeds=(0,))))
    text = index_page.index([(EXPERIMENT, quick)])
    assert text.count("no number of it can be compared with a published one") == 1
    assert "reduced scale of `quick`" in text
    assert "reduced scale" not in index_page.index([(EXPERIMENT, RecordSet("fig1"))])


def test_an_experiment_that_trains_nothing_is_no_unfinished_one():
    """``peers`` is for counts and published checkpoints: "not run" would read as work left undone."""
    costs = ({"row": "rtmpose_m", "params_m": 13.588, "gflops": 1.928, "gflops_hrnet_tool": 1.78},)
    peers = catalog.load("peers")
    found = row_of(index_page.index([(peers, RecordSet("peers", costs=costs))]), "peers")
    assert found[1] == f"costs and checkpoints of {len(peers.rows)} rows"
    assert found[-1].startswith("2 of 2 comparable published numbers are within tolerance")
