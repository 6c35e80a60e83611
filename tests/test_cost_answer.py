"""The first thing on the index: every word of it follows from specs and records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flatpose.harness import catalog, claims_page, collect, cost_answer

REPORTS = Path(__file__).parents[1] / "reports"
GAIN = (1.9, 2.6)


@pytest.fixture(scope="module")
def entries():
    """Everything but times, which these tests make up."""
    found = {name: (catalog.load(name), collect.load(REPORTS / "data" / f"{name}.json", name))
             for name in catalog.ids()}
    spec, records = found["table2"]
    return {**found, "table2": (spec, replace(records, latencies=()))}


def said(entries, gain=GAIN) -> str:
    return cost_answer.answer(claims_page.judge_all(entries, REPORTS), entries, gain)


def timed(entries, times):
    """Each row with its time in two modes, as multiples of FlatPose-B."""
    rows = [{"row": row, "cpu": "Abacus", "latency": [
        {"batch": 1, "compiled": c, "device": "CPU", "threads": 2, "ratio_flatpose_b": t} for c, t in enumerate(both)]}
        for row, both in times.items()]
    spec, records = entries["table2"]
    return {**entries, "table2": (spec, replace(records, latencies=tuple(rows)))}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("- ")]


def test_four_lines_and_a_table_of_six(entries):
    text = said(entries)
    assert [line.split(":")[0].removeprefix("- **") for line in lines(text)] == [
        "Multiply-adds", "Against RTMPose-m, as the text says", "Wall time", "AP at that cost"]
    assert all(len(line.split()) < 50 for line in lines(text))
    assert sum(line.startswith("| FlatPose") for line in text.splitlines()) == 6
    assert "| FlatPose-B against RTMPose-m, which the sentence names, 256x192 | 33 % fewer | 45.2 % more |" in text


def test_the_verdict_follows_the_records(entries):
    assert "Multiply-adds: yes" in said(entries) and "smaller one in 10 of 10" in said(entries)
    spec, records = entries["table2"]
    wrong = tuple({**c, "gflops": 9 * c["gflops"]} if c["row"] == "flatpose_l" else c for c in records.costs)
    text = said({**entries, "table2": (spec, replace(records, costs=wrong))})
    assert "Multiply-adds: not everywhere" in text and "smaller one in 7 of 10" in text


def test_the_verdict_follows_the_specs(entries):
    spec, records = entries["table2"]
    rows = tuple(replace(r, published=replace(r.published, metrics={**r.published.metrics, "AP": 79.4}))
                 if r.id == "flatpose_b" else r for r in spec.rows)
    text = said({**entries, "table2": (replace(spec, rows=rows), records)})
    assert "1 lead stays" in text and "1 lead stays" not in said(entries)


def test_time_is_a_range_over_the_modes_that_were_measured(entries):
    assert "Wall time: not measured yet" in said(entries) and "Stopwatch: " not in said(entries)
    text = said(timed(entries, {"flatpose_b": (1.0, 1.0), "rtmpose_l": (1.25, 1.0)}))
    assert "| 33 % fewer | 32.7 % fewer | 0 to 20 % less |" in text
    assert "Wall time: less than printed.** 0 to 20 % less time over 1 comparisons; in 1 of them" in text
    assert "Abacus, 2 threads; batch 1 eager, batch 1 compiled" in text
    text = said(timed(entries, {"flatpose_b": (1.0, 1.0), "rtmpose_l": (2.0, 1.25)}))
    assert "Wall time: in part.** 20 to 50 % less time over 1 comparisons; in 0 of them" in text


def test_without_a_simulation_nothing_is_said_of_boxes(entries):
    assert "AP at that cost: unknown" in said(entries, None) and "One box source: " not in said(entries, None)


@pytest.mark.parametrize("low, high, words", [(19, 44, "19 to 44 % less"), (-27, 17, "27 % more to 17 % less"),
                                              (-30, -10, "10 to 30 % more"), (5, 5, "5 % less"), (0, 0, "0 % less")])
def test_more_time_is_not_called_less(low, high, words):
    assert cost_answer._less(low, high) == words
