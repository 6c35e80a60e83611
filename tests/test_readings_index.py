"""The page of the readings: whose numbers depend on each, in few words, and where to see what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.readings import BY_ID, READINGS
from flatpose.harness import catalog, collect, readings_index
from flatpose.harness.blocks import markdown

REPORTS = Path(__file__).parents[1] / "reports"


@pytest.fixture(scope="module")
def entries():
    return {name: (catalog.load(name), collect.load(REPORTS / "data" / f"{name}.json", name)) for name in catalog.ids()}


def test_rows_of_a_whole_family_are_named_once(entries):
    said = readings_index.rows_of(BY_ID["R8"], entries)
    assert said.startswith("every FlatPose row of [") and "[table2](table2.md)" in said and "flatpose_l" not in said
    spec, records = entries["table5"]
    rows = tuple(replace(r, readings=()) if r.id == "k2" else r for r in spec.rows)
    said = readings_index.rows_of(BY_ID["R8"], {**entries, "table5": (replace(spec, rows=rows), records)})
    assert "`k4` of [table5](table5.md)" in said and "`k2`" not in said


def test_every_reading_has_rows_and_links_to_what_was_measured(entries):
    made = readings_index.table(entries)
    for reading in READINGS:
        assert readings_index.rows_of(reading, entries), reading.id
        said = readings_index.measured(reading, made)
        assert re.findall(r"\]\((\w+)\.md\)", said) or (reading.id in ("R16", "R17", "R18") and said == "nothing yet")
    assert "[alternatives](alternatives.md) (0 of 1 alternatives trained" in readings_index.measured(
        BY_ID["R1"], replace(made, rows=tuple(replace(line, cells=tuple(replace(c, value=None) for c in line.cells))
                                              for line in made.rows)))


def test_every_link_leads_to_a_page(entries):
    text = markdown(readings_index.parts(entries))
    pages = set(re.findall(r"\]\((\w+)\.md\)", text))
    assert pages and all((REPORTS / f"{page}.md").is_file() for page in pages)
    assert "reports/" not in re.sub(r"\.\./", "", text)
    assert max(len(line) for line in text.splitlines() if line.startswith("- **Rows**")) < 400
