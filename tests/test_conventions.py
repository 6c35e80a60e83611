"""Every cost that Tables 1 to 5 print, beside our count in the convention that made it, from the committed records."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flatpose.harness import catalog, compare, frame
from flatpose.harness.record import RecordFile
from flatpose.harness.spec import Published

WRONG = {("table2", "sharpose_base_384", "params_m"): "118.5", ("table3", "simcc", "params_m"): "70.6"}
"""Printed numbers known to be another row's, and what is right."""
"""Within tolerance, but neither rounded nor truncated to the printed digit."""


@cache
def frames() -> frame.Frames:
    return frame.read(Path(__file__).parents[1], experiments=[catalog.load(f"table{n}") for n in range(1, 6)])


def costs() -> dict[tuple[str, str, str], Any]:
    """Counted against printed, by (experiment, row, quantity)."""
    found = [c for e in frames().experiments.values() for c in compare.against_paper(e, frames()).itertuples()]
    return {(c.experiment, c.row, c.quantity): c for c in found if c.quantity in ("params_m", "gflops")}


def test_every_printed_cost_is_matched_in_its_convention_or_known_to_be_wrong():
    found = costs()
    assert len(found) == 2 * (3 + 16 + 6 + 13)
    assert {key for key, c in found.items() if c.verdict != compare.WITHIN} == set(WRONG)
    for key, right in WRONG.items():
        assert found[key].verdict == compare.MISPRINT and found[key].reason.startswith(f"{right} (")


@pytest.mark.parametrize("counted, verdict", [(118.5, compare.MISPRINT), (93.9, compare.WITHIN)])
def test_a_mark_does_not_hide_agreement(counted, verdict):
    row = next(r for r in catalog.load("table2").rows if r.id == "sharpose_base_384")
    said = Published(source="x", params_m=93.9, misprints=row.published.misprints)
    spec = replace(catalog.load("table2"), rows=(replace(row, published=said),), reference=None, profiles={
        "paper": catalog.load("table2").profiles["paper"]}, default_profile="paper")
    cost = next(c for c in frames().files["table2"].costs if c.row == row.id).model_copy(update={"params_m": counted})
    found = compare.against_paper(spec, frame.Frames({"table2": spec}, {
        "table2": RecordFile(experiment="table2", costs=(cost,))}))
    assert found["verdict"].tolist() == [verdict]


def test_misprints_name_numbers_that_are_printed():
    for name in catalog.ids():
        for row in catalog.load(name).rows:
            said = row.published
            if said and name != "controlled":  # which leaves Table 2's metrics out
                printed = {*said.metrics, *(q for q in ("params_m", "gflops") if getattr(said, q) is not None)}
                assert set(said.misprints) <= printed, (name, row.id)
