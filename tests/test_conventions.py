"""Every cost that Tables 1 to 5 print, beside our count in the convention that made it, from the committed counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatpose.harness import catalog, frame

ROOT = Path(__file__).parents[1]
COLUMNS = {("params_m", "all"): "params_m", ("params_m", "leaf"): "params_leaf_m", ("gflops", "all"): "gflops",
           ("gflops", "hrnet_tool"): "gflops_hrnet_tool"}
WRONG = {("table2", "sharpose_base_384", "params_m"): 118.5, ("table3", "simcc", "params_m"): 70.6}
"""Printed numbers that are known to be another row's, and our counts."""
UNEXPLAINED = {
    ("table2", "sharpose_small", "gflops"), ("table2", "sharpose_base", "params_m"),
    ("table2", "sharpose_base_384", "gflops"), ("table3", "simplebaseline", "gflops"),
    ("table5", "regression", "gflops"), ("table5", "no_ica", "params_m"),
    *((table, row, quantity) for table, row in (("table2", "vitpose_b_384"), ("table3", "vitpose_b"))
      for quantity in ("params_m", "gflops"))}
"""Within tolerance, but neither rounded nor truncated to the printed digit."""


@pytest.fixture(scope="module")
def costs() -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """(table, row, quantity) -> printed, counted, allowed distance."""
    tables = [f"table{n}" for n in range(1, 6)]
    rows = {(name, row.id): row for name in tables for row in catalog.load(name).rows}
    found = {}
    for line in frame.costs(ROOT, tables).to_dict("records"):
        row = rows[line["experiment"], line["row"]]
        for quantity, tolerance in (("params_m", row.tolerance.params), ("gflops", row.tolerance.gflops)):
            printed = line[f"published_{quantity}"]
            if printed == printed and printed is not None:
                by = line[f"{quantity.removesuffix('_m')}_by"]
                counted = line[COLUMNS[quantity, by]]
                found[line["experiment"], line["row"], quantity] = printed, counted, tolerance * printed
    return found


def test_every_printed_cost_is_matched_in_its_convention_or_known_to_be_wrong(costs):
    assert len(costs) == 2 * (3 + 16 + 6 + 13)
    outside = {key: round(counted, 1) for key, (printed, counted, allowed) in costs.items()
               if abs(counted - printed) > allowed}
    assert outside == WRONG


def test_the_printed_digit_comes_out_rounded_or_truncated_but_for_named_ones(costs):
    assert {key for key, (printed, counted, _) in costs.items()
            if printed not in (round(counted, 1), int(10 * counted) / 10)} == UNEXPLAINED | set(WRONG)


def test_misprints_name_numbers_that_are_printed():
    for name in catalog.ids():
        for row in catalog.load(name).rows:
            said = row.published
            if said and name != "controlled":  # which leaves Table 2's metrics out
                printed = {*said.metrics, *(q for q in ("params_m", "gflops") if getattr(said, q) is not None)}
                assert set(said.misprints) <= printed, (name, row.id)
