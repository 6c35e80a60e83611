"""Readings are complete and selectable; the search's arithmetic is that of built networks; its page is current."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

from experiments import fig1, table1, table5
from experiments.readings import BY_ID, READINGS
from flatpose.complexity import ShapesOnly, measure
from flatpose.config import (
    FlatPoseConfig,
    FlatPoseReadings,
    RegressionCodecConfig,
    SimCCCodecConfig,
    from_dict,
    to_dict,
)
from flatpose.harness import readings_page, readings_search
from flatpose.harness.readings_search import Case, Guess, count, evaluate
from flatpose.io import read_json
from flatpose.models import build_model

RUNS = [row.run for module in (table1, table5, fig1) for row in module.EXPERIMENT.rows]
ROOT = Path(__file__).resolve().parents[1]


def test_readings_are_numbered_without_gaps() -> None:
    assert [r.id for r in READINGS] == [f"R{i}" for i in range(1, len(READINGS) + 1)]


@pytest.mark.parametrize("reading", [r for r in READINGS if r.field], ids=lambda r: r.id)
def test_value_is_what_rows_use_and_alternatives_can_be_set(reading) -> None:
    path = reading.field.split(".")
    using = [run for run in RUNS if reduce(lambda part, name: getattr(part, name, None), path, run) == reading.value]
    assert using, f"no row has {reading.field} = {reading.value!r}"
    for value in reading.alternatives:
        changed = to_dict(using[0])
        reduce(dict.get, path[:-1], changed)[path[-1]] = value
        assert reduce(getattr, path, from_dict(changed)) == value


def test_rows_name_known_readings() -> None:
    named = {name for module in (table1, table5, fig1) for row in module.EXPERIMENT.rows for name in row.readings}
    assert named <= set(BY_ID)


BUILT = [
    (Case("b", 0, 0), Guess(refine="ffn_all"), {}),
    (Case("b", 0, 0), Guess(), {"refine_ffn": "selected"}),
    (Case("full", 0, 0, top_k=None), Guess(salience="mlp"), {"top_k": "full", "refine_ffn": "selected",
                                                           "salience_head": "mlp"}),
    (Case("small", 0, 0, image_size=(96, 128), coarse=2, ica=False),
     Guess(refine="ffn_all", salience="per_keypoint", share_refine=True),
     {"num_coarse_blocks": 2, "ica": False, "salience_head": "per_keypoint", "share_refine": True}),
    (Case("up", 0, 0, upsampled=True), Guess(refine="ffn_all", wide_classifier=True, gamma=True),
     {"num_deconvs": 3, "classifier": "wide", "gamma": "learnable"}),
    (Case("pooled", 0, 0, upsampled=True), Guess(refine="ffn_all", split_ratio=3.0), {"num_deconvs": 3}),
    (Case("regression", 0, 0, head="regression"), Guess(refine="ffn_all"), {"head": "regression"}),
    (Case("r50", 0, 0, backbone="resnet50"), Guess(refine="ffn_all"), {"backbone": "resnet50"}),
]


@pytest.mark.parametrize(("case", "guess", "changes"), BUILT, ids=[case.row for case, _, _ in BUILT])
def test_arithmetic_is_that_of_the_built_network(case, guess, changes) -> None:
    codec = RegressionCodecConfig() if case.head == "regression" else SimCCCodecConfig(split_ratio=guess.split_ratio)
    with ShapesOnly():
        readings = {name: value for name, value in changes.items() if hasattr(FlatPoseReadings(), name)}
        own = {name: value for name, value in changes.items() if name not in readings}
        model = build_model(FlatPoseConfig(**own, readings=FlatPoseReadings(**readings)), codec, case.image_size, 17,
                            pretrained=False)
    cost, total = measure(model, case.image_size), count(case, guess)
    assert total.params == cost.params_m * 1e6
    assert total.macs / 1e9 == pytest.approx(cost.gflops, rel=1e-3)


def test_what_the_page_concludes() -> None:
    outcomes = readings_search.search(2)
    by_set = {o.departures: o for o in outcomes}
    assert by_set[()].hits == 17 and by_set["ffn_all",].hits == 22
    assert by_set["block_all", "matmuls_only"].hits == 22 == outcomes[0].hits
    assert sorted(o.hits for o in outcomes if len(o.departures) == 1)[-2:] == [20, 22]
    three = evaluate(("ffn_all", "query_norm", "relative_table"))
    assert three.hits == 23 and three.missed == ["Table 5 (3) regression: gflops"]
    row6 = next(i for i, cell in enumerate(three.cells) if "(6)" in cell["row"] and cell["quantity"] == "params_m")
    assert all(o.hits < 22 for o in outcomes if o.cells[row6]["hit"])


def test_contradicting_departures_are_skipped() -> None:
    assert evaluate(("ffn_all", "block_all")) is None


def test_page_is_the_function_of_its_data_and_both_are_current() -> None:
    found = read_json(ROOT / "reports" / "data" / "readings_search.json")
    assert found == readings_page.summary(readings_search.search())
    assert (ROOT / "reports" / "readings_search.md").read_text() == readings_page.render(found)
