"""Experiment ``peers``: a row for every parity pack, its costs as printed."""

from __future__ import annotations

import pytest

from flatpose.harness import catalog
from flatpose.harness.compare import MISPRINT, WITHIN, against_paper
from flatpose.harness.cost import cost_rows
from flatpose.harness.frame import Frames
from flatpose.harness.networks import systems
from flatpose.harness.record import CostRow, RecordFile

PEERS = catalog.load("peers")
ROWS = {row.id: row for row in PEERS.rows}
# Official names and mmpose's, of one network, fit one row.
PACKS = {
    "simplebaseline_r50_256x192": "simplebaseline_r50", "mmpose_td-hm_res50_256x192": "simplebaseline_r50",
    "simplebaseline_r152_256x192": "simplebaseline_r152", "hrnet_w32_256x192": "hrnet_w32",
    "mmpose_td-hm_hrnet-w32_256x192": "hrnet_w32", "hrnet_w48_256x192": "hrnet_w48",
    "simcc_r50_256x192": "simcc_r50", "mmpose_simcc_res50_256x192": "simcc_r50",
    "simcc_r50_upfree_256x192": "simcc_r50_upsample_free", "simcc_hrnet_w48_256x192": "simcc_w48",
    "simcc_hrnet_w48_384x288": "simcc_w48_384", "sar_r50_384x288": "sar_r50_384", "sar_w48_384x288": "sar_w48_384",
    "srpose_r50_256x192": "srpose_r50", "srpose_hrnet_w32_256x192": "srpose_w32", "rtmpose_m_256x192": "rtmpose_m",
    "rtmpose_l_256x192": "rtmpose_l", "tokenpose_b_256x192": "tokenpose_b",
    "tokenpose_l_d24_256x192": "tokenpose_l_d24", "vitpose_s_256x192": "vitpose_s",
    "mmpose_vitpose_s_256x192": "vitpose_s", "vitpose_b_256x192": "vitpose_b", "mmpose_vitpose_b_256x192": "vitpose_b",
    "sharpose_small_256x192": "sharpose_small", "sharpose_base_256x192": "sharpose_base",
    "sharpose_base_384x288": "sharpose_base_384",
}


def test_every_parity_pack_has_a_row(shared):
    assert {path.stem for path in (shared / "peers" / "packs").glob("*.json")} == set(PACKS)


def test_the_listing_has_every_system_that_a_file_fits(tmp_path, monkeypatch):
    here = {entry["name"]: entry for entry in systems()}
    assert set(here) == {name for name, row in ROWS.items() if row.run.model.kind != "gatedunipose"}
    assert here["hrnet_w32"]["gflops"] == pytest.approx(7.69, abs=0.01) and here["hrnet_w32"]["cost"] == "counted"
    monkeypatch.chdir(tmp_path)  # no reports: the printed number, which HRNet's tool counted
    assert {entry["name"]: (entry["gflops"], entry["cost"]) for entry in systems()}["hrnet_w32"] == (7.1, "printed")


@pytest.mark.slow
def test_costs_are_those_that_were_printed(tmp_path):
    costs = cost_rows([PEERS], runs_dir=tmp_path)
    for cost in costs:
        assert cost["gflops_torch"] == pytest.approx(cost["gflops"], rel=0.01), cost["row"]
    rows = tuple(CostRow(**{name: cost[name] for name in CostRow.model_fields if name in cost}) for cost in costs)
    found = against_paper(PEERS, Frames({"peers": PEERS}, {"peers": RecordFile(experiment="peers", costs=rows)}))
    found = found[found["measured"].notna()]
    assert len(found) > 40 and set(found["verdict"]) <= {WITHIN, MISPRINT}
    assert found[found["verdict"] == MISPRINT]["row"].tolist() == ["sharpose_base_384"]
