"""Readings are complete and selectable; the search's arithmetic is that of built networks."""

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
from flatpose.models import build_model
from flatpose.studies import readings_search
from flatpose.studies.readings_search import Case, count, evaluate

RUNS = [row.run for module in (table1, table5, fig1) for row in module.EXPERIMENT.rows]
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("reading", [r for r in READINGS if r.field], ids=lambda r: r.id)
def test_value_is_what_rows_use_and_alternatives_can_be_set(reading) -> None:
    path = reading.field.split(".")
    using = [run for run in RUNS if reduce(lambda part, name: getattr(part, name, None), path, run) == reading.value]
    assert using, f"no row has {reading.field} = {reading.value!r}"
    for value in reading.alternatives:
        changed = to_dict(using[0])
        reduce(dict.get, path[:-1], changed)[path[-1]] = value
        assert reduce(getattr, path, from_dict(changed)) == value


def test_readings_are_numbered_without_gaps_and_rows_name_known_ones() -> None:
    assert [r.id for r in READINGS] == [f"R{i}" for i in range(1, len(READINGS) + 1)]
    named = {name for module in (table1, table5, fig1) for row in module.EXPERIMENT.rows for name in row.readings}
    assert named <= set(BY_ID)


BUILT = [
    (Case("b", 0, 0), {"ffn_all"}, {}),
    (Case("b", 0, 0), set(), {"refine_ffn": "selected"}),
    (Case("full", 0, 0, top_k=None), {"salience_mlp"}, {"top_k": "full", "refine_ffn": "selected",
                                                           "salience_head": "mlp"}),
    (Case("small", 0, 0, image_size=(96, 128), coarse=2, ica=False),
     {"ffn_all", "salience_per_keypoint", "share_refine"},
     {"num_coarse_blocks": 2, "ica": False, "salience_head": "per_keypoint", "share_refine": True}),
    (Case("up", 0, 0, upsampled=True), {"ffn_all", "wide_classifier", "gamma"},
     {"num_deconvs": 3, "classifier": "wide", "gamma": "learnable"}),
    (Case("pooled", 0, 0, upsampled=True), {"ffn_all", "split_3"}, {"num_deconvs": 3}),
    (Case("regression", 0, 0, head="regression"), {"ffn_all"}, {"head": "regression"}),
    (Case("r50", 0, 0, backbone="resnet50"), {"ffn_all"}, {"backbone": "resnet50"}),
]


@pytest.mark.parametrize(("case", "text", "changes"), BUILT, ids=[case.row for case, _, _ in BUILT])
def test_arithmetic_is_that_of_the_built_network(case, text, changes) -> None:
    simcc = SimCCCodecConfig(split_ratio=3.0 if "split_3" in text else 2.0)
    codec = RegressionCodecConfig() if case.head == "regression" else simcc
    with ShapesOnly():
        readings = {name: value for name, value in changes.items() if hasattr(FlatPoseReadings(), name)}
        own = {name: value for name, value in changes.items() if name not in readings}
        model = build_model(FlatPoseConfig(**own, readings=FlatPoseReadings(**readings)), codec, case.image_size, 17,
                            pretrained=False)
    cost, total = measure(model, case.image_size), count(case, frozenset(text))
    assert total.params == cost.params_m * 1e6
    assert total.macs / 1e9 == pytest.approx(cost.gflops, rel=1e-3)


def test_contradicting_departures_are_skipped() -> None:
    assert evaluate(("ffn_all", "block_all")) is None


def test_the_lines_say_what_the_search_found() -> None:
    found = readings_search.measure(1)
    cells, singles, sets = (found[found["kind"] == kind] for kind in ("cell", "single", "sets"))
    assert len(cells) == 24 and list(sets["hits"]) == [17, 22] and list(sets["names"]) == ["", "ffn_all"]
    assert (cells["explained_by"] == "").sum() == 17 and (cells["explained_by"] == "ffn_all").sum() == 5
    assert singles.set_index("name")["alone"]["ffn_all"] == 22
