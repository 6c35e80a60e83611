"""The claims of the paper as entries: each refers to real cells, and a wrong number planted anywhere is noticed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import Cli

from experiments.claims import BELOW_B, CLAIMS, PAIRS
from flatpose.harness import catalog, claims, claims_judge, claims_page, collect, report
from flatpose.harness.claims import FAILS, HOLDS
from flatpose.harness.formula import COSTS, cells

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"


@pytest.fixture(scope="module")
def entries():
    return {name: (catalog.load(name), collect.load(REPORTS / "data" / f"{name}.json", name)) for name in catalog.ids()}


def find(name: str) -> claims.Claim:
    return next(c for c in CLAIMS if c.id == name)


def test_entries_are_whole(entries):
    assert len({c.id for c in CLAIMS}) == len(CLAIMS) >= 40
    assert {c.experiment for claim in CLAIMS for c in cells(claim.formula)} <= claims_page.EXPERIMENTS
    for claim in CLAIMS:
        for cell in cells(claim.formula):
            claims.published_cell(claim, cell, entries)  # KeyError names a row that does not exist
    assert {name for pair in PAIRS for name in pair} <= {c.id for c in CLAIMS}
    assert {c.id for c in CLAIMS if c.as_named} == {"b_rtmpose_m_ap", "b_rtmpose_m_gflops"}


def test_the_rows_below_flatpose_b_are_those_that_print_less_ap(entries):
    rows = {r.id: r.published.metrics["AP"] for r in entries["table2"][0].rows if r.group == "256x192"}
    assert set(BELOW_B) == {name for name, ap in rows.items() if ap < rows["flatpose_b"]}


def test_what_was_measured_at_a_reduced_scale_never_holds_or_fails(entries):
    metrics = [j for j in claims_page.judge_all(entries, REPORTS) if j.claim.kind == "metric"]
    assert any(j.ours.verdict == claims.SAME for j in metrics)
    assert not {j.ours.verdict for j in metrics} & {HOLDS, FAILS, claims.DIRECTION}
    assert all(j.ours.setting and j.ours.boxes and j.ours.n for j in metrics
               if j.ours.verdict not in (claims.NOT_TESTED,))


def test_every_number_in_a_sentence_with_a_number_is_printed_in_a_table(entries):
    judged = claims_page.judge_all(entries, REPORTS)
    assert {j.claim.id for j in judged if j.published.verdict == claims.NOT_PRINTED} == {"simcc_robust",
                                                                                          "flatpose_robust"}
    assert {j.claim.id for j in judged if j.published.verdict == FAILS} == {
        "k_cost", "recall_lower_384", "b_rtmpose_m_ap", "b_rtmpose_m_gflops"}


def planted(entries, experiment: str, row: str, quantity: str, by: float):
    """The entries with one published number changed."""
    spec, records = entries[experiment]

    def change(published):
        if quantity in COSTS:
            return replace(published, **{quantity: getattr(published, quantity) + by})
        return replace(published, metrics={**published.metrics, quantity: published.metrics[quantity] + by})

    rows = tuple(replace(r, published=change(r.published)) if r.id == row else r for r in spec.rows)
    return {**entries, experiment: (replace(spec, rows=rows), records)}


@pytest.mark.parametrize(("name", "experiment", "row", "quantity", "by"), [
    ("l_vitpose_ap", "table2", "vitpose_b", "AP", 0.2), ("l_simcc_gflops", "table2", "simcc", "gflops", 2.0),
    ("testdev_sar", "table3", "sar", "AP", 0.3), ("ica_ap", "table5", "no_ica", "AP", -0.3),
    ("crowd_hrnet", "table4", "hrnet_w32_crowdpose", "AP", 1.0), ("heatmap_coarse", "fig1", "heatmap_s32", "AP", 0.3)])
def test_a_wrong_number_planted_in_a_spec_fails_its_claims(entries, name, experiment, row, quantity, by):
    assert claims_judge.judge(find(name), entries).published.verdict == HOLDS
    assert claims_judge.judge(find(name), planted(entries, experiment, row, quantity, by)).published.verdict == FAILS


def test_a_wrong_count_planted_in_a_record_fails_its_claims(entries):
    spec, records = entries["table2"]
    costs = tuple({**c, "gflops": 2 * c["gflops"]} if c["row"] == "flatpose_b" else c for c in records.costs)
    wrong = {**entries, "table2": (spec, replace(records, costs=costs))}
    for name in ("b_gflops", "b_rtmpose_gflops", "cheapest_256"):
        assert claims_judge.judge(find(name), entries).ours.verdict == HOLDS
        assert claims_judge.judge(find(name), wrong).ours.verdict != HOLDS


def test_every_claim_is_counted_once(entries):
    judged = claims_page.judge_all(entries, REPORTS)
    for verdicts in ([j.published for j in judged], [j.ours for j in judged]):
        counted = [int(part.split()[0]) for part in claims_page.counts(verdicts).replace("but in", "").split(", ")
                   if part.split()[0].isdecimal()]
        assert sum(counted) == len(judged)
    headline = claims_page.headline(judged)
    quoted = sum(j.claim.quotation for j in judged)
    assert f"Of {quoted} quotations" in headline and f"Of {len(judged) - quoted - 2} comparisons" in headline
    assert "33% fewer GFLOPS”: fails (the numbers give 45.1 % more)" in headline


def test_the_data_are_those_of_the_verdicts(entries):
    assert json.loads((REPORTS / "data" / "claims.json").read_text()) == json.loads(
        json.dumps([j.to_dict() for j in claims_page.judge_all(entries, REPORTS)]))


def test_the_readme_counts_them():
    assert f"judges {len(CLAIMS)}\nsentences and numbers" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_in_the_terminal_reasons_stand_in_the_cells(entries):
    judged = claims_page.judge_all(entries, REPORTS)
    rows = [row for _, part in claims_page.terminal(judged) for row in part]
    assert len(rows) == len(judged) and claims_page.TERMINAL[0] == "the paper says"
    assert any("quick runs one" in row[-1] for row in rows)
    assert any("quick · embedded v1 (2000/300 images), detector boxes, n = 3" in row[-1] for row in rows)
    assert not any(mark in text for row in rows for text in row for mark in "¹²³⁴⁵⁶⁷⁸⁹")


def test_without_records_it_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cli = Cli(tmp_path, monkeypatch, capsys)
    answer = cli("claims", "--json")
    said = answer.err.replace("\n", "")
    assert answer.code == 0 and "No records: looked for reports/data/*.json in" in said and str(tmp_path) in said
    assert len(answer.json) == len(CLAIMS)


@pytest.mark.parametrize("path, old, new", [
    ("claims.md", "hold", "hald"), ("index.md", "45.2 % more GFLOPs", "45.2 % fewer GFLOPs"),
    ("table2.md", "2.80", "2.70"), ("table5.csv", "done", "dona"), ("data/table2.json", '"gflops": 2.', '"gflops": 1.'),
    ("data/fig1.json", '"AP": 0.0', '"AP": 0.1')])
def test_a_wrong_number_planted_in_a_page_or_a_record_is_found(tmp_path, path, old, new):
    shutil.copytree(REPORTS, tmp_path / "reports")
    file = tmp_path / "reports" / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    outdated = {p.name for p in report.write("all", tmp_path, check=True, runs_dir=tmp_path / "runs")}
    expected = {"claims.md": "claims.md", "index.md": "index.md", "table2.md": "table2.md", "table5.csv": "table5.csv",
                "data/table2.json": "table2.md", "data/fig1.json": "fig1.json"}[path]
    assert expected in outdated
