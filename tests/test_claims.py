"""Formulas and verdicts, on cases worked out by hand; the entries refer to cells that exist."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from made_frames import frames, line

from experiments.claims import BELOW_B, CLAIMS
from flatpose.harness import catalog, claims, formula, readings
from flatpose.harness.claims import DIRECTION, FAILS, HOLDS, NOT_COMPARABLE, NOT_TESTED, SAME, UNDECIDED
from flatpose.harness.formula import Cell, Claim, bounds, cells, difference, evaluate, quotient, reduction

A, B = Cell("fig1", "simcc_s4", "AP"), Cell("fig1", "simcc_s32", "AP")
NOTHING = frames([])
BY_ID = {c.id: c for c in CLAIMS}


def claim(of=A, **expected) -> Claim:
    return Claim(id="x", section="1", quote="q", formula=of, **expected)


@pytest.mark.parametrize(("a", "b", "expected", "verdict"), [
    (4.9, 14.6, "66", HOLDS),  # 66.4 %
    (4.9, 18.5, "73", claims.ROUNDING),  # 73.5 % by the cells, 73.2 if both were rounded favourably
    (4.9, 18.5, "75", FAILS)])
def test_a_printed_cell_is_known_to_half_a_unit_of_its_last_digit(a, b, expected, verdict):
    cells = {A: a, B: b}
    sentence = claim(reduction(A, B), prints=expected)
    assert claims._by_print(sentence, evaluate(sentence.formula, cells), cells).verdict == verdict


def test_operations():
    found = {A: 8.0, B: 2.0}
    assert evaluate(quotient(A, B), found) == 4.0 and bounds(quotient(A, B), found) == (7.95 / 2.05, 8.05 / 1.95)
    assert [evaluate(f(A, B), found) for f in (formula.highest, formula.lowest)] == [8.0, 2.0]
    assert evaluate(formula.inverse_root(A), {A: 64.0}) == 0.125
    assert evaluate(difference(A, Cell("fig1", "x", "AP")), found) is None
    assert evaluate(reduction(A, B), {A: 1.0, B: 0.0}) is None
    with pytest.raises(ValueError, match="exactly one"):
        claim(prints="1", above=0.0)


def measured(a, b, **conditions):
    """Seeds of both rows, AP in points."""
    return [line("fig1", cell.row, seed, AP=ap / 100, **conditions) for cell, values in ((A, a), (B, b))
            for seed, ap in enumerate(values)]


@pytest.mark.parametrize(("expected", "a", "b", "verdict"), [
    ({"prints": "54.6"}, (5.0, 5.2, 5.4), (3.0, 3.1, 3.4), SAME),  # the right sign says nothing about 54.6
    ({"prints": "54.6"}, (3.0, 3.1, 3.4), (5.0, 5.2, 5.4), claims.OPPOSITE),
    ({"prints": "-1.0"}, (3.0, 3.1, 3.4), (5.0, 5.2, 5.4), SAME),
    ({"above": 0.0}, (5.0, 9.0, 5.4), (3.0, 7.1, 3.3), SAME),  # a spread that both rows share
    ({"above": 0.0}, (5.0, 5.2, 5.4), (5.1, 5.0, 5.5), UNDECIDED),
    ({"above": 0.0}, (5.0,), (3.0,), UNDECIDED),  # one seed
    ({"above": 0.0}, (0.9, 0.9, 0.8), (0.1, 0.2, 0.0), UNDECIDED),  # networks that find next to nothing
    ({"prints": "0.0"}, (5.0, 5.2, 5.4), (3.0, 3.1, 3.4), NOT_COMPARABLE),
    ({"between": (0.0, 1.0)}, (5.0, 5.2, 5.4), (3.0, 3.1, 3.4), NOT_COMPARABLE)])
def test_a_reduced_scale_shows_a_direction_at_most(expected, a, b, verdict):
    ours = claims.judge(claim(difference(A, B), **expected), frames(measured(a, b))).ours
    assert ours.verdict == verdict and ours.n == len(a)
    assert claims.judge(claim(A, prints="75.4"), frames(measured(a, b))).ours.verdict == NOT_COMPARABLE


@pytest.mark.parametrize(("expected", "verdict"), [({"prints": "2"}, HOLDS), ({"prints": "4"}, FAILS),
                                                   ({"prints": "2.1"}, UNDECIDED), ({"above": 1.0}, HOLDS)])
def test_at_the_papers_scale_the_interval_decides(expected, verdict):
    found = frames(measured((75.0, 75.5, 75.2), (73.0, 73.4, 73.3), profile="paper", data="COCO 2017"))
    assert claims.judge(claim(difference(A, B), **expected), found).ours.verdict == verdict


def test_the_largest_scale_with_two_seeds_decides_whatever_it_says():
    small = measured((5.0, 5.2, 5.4), (3.0, 3.1, 3.4))
    large = measured((9.0, 9.8), (9.5, 9.2), profile="synth")
    ours = claims.judge(claim(difference(A, B), above=0.0), frames(small + large)).ours
    assert ours.setting.startswith("synth") and ours.verdict == UNDECIDED and ours.n == 2
    one = [x for x in large if x["seed"] == 0]  # decides nothing
    assert claims.judge(claim(difference(A, B), above=0.0), frames(small + one)).ours.verdict == SAME
    alone = claims.judge(claim(difference(A, B), above=0.0), frames(one)).ours
    assert (alone.verdict, alone.reason) == (UNDECIDED, "one seed")
    part = [x for x in large if x["row"] == A.row]  # not every cell was measured there
    assert claims.judge(claim(difference(A, B), above=0.0), frames(small + part)).ours.verdict == SAME


@pytest.mark.parametrize(("simcc", "verdict"), [(14.6, HOLDS), (15.79, DIRECTION), (4.0, FAILS)])
def test_a_changed_count_changes_the_verdict(simcc, verdict):
    found = frames([], {("table2", "flatpose_l"): {"gflops": 4.95}, ("table2", "simcc"): {"gflops": simcc}})
    judged = claims.judge(BY_ID["l_simcc_gflops"], found)
    assert judged.published.verdict == HOLDS and judged.ours.verdict == verdict
    assert claims.judge(BY_ID["l_simcc_gflops"], NOTHING).ours.verdict == NOT_TESTED


@pytest.mark.parametrize(("name", "experiment", "row", "metric", "by"), [
    ("l_vitpose_ap", "table2", "vitpose_b", "AP", 0.2), ("testdev_sar", "table3", "sar", "AP", 0.3),
    ("ica_ap", "table5", "no_ica", "AP", -0.3), ("heatmap_coarse", "fig1", "heatmap_s32", "AP", 0.3)])
def test_a_changed_published_number_fails_its_claims(name, experiment, row, metric, by):
    spec = catalog.load(experiment)
    rows = tuple(replace(r, published=replace(r.published, metrics={**r.published.metrics,
                                                                    metric: r.published.metrics[metric] + by}))
                 if r.id == row else r for r in spec.rows)
    wrong = replace(NOTHING, experiments={**NOTHING.experiments, experiment: replace(spec, rows=rows)})
    vars(wrong).update({k: v for k, v in vars(NOTHING).items() if k in ("results", "costs", "latencies")})
    assert claims.judge(BY_ID[name], NOTHING).published.verdict == HOLDS
    assert claims.judge(BY_ID[name], wrong).published.verdict == FAILS


def test_entries_refer_to_cells_that_exist():
    assert len({c.id for c in CLAIMS}) == len(CLAIMS)
    rows = {name: {row.id for row in e.rows} for name, e in NOTHING.experiments.items()}
    assert all(c.row in rows[c.experiment] for sentence in CLAIMS for c in cells(sentence.formula))
    table2 = {r.id: r.published.metrics["AP"] for r in catalog.load("table2").rows if r.group == "256x192"}
    assert set(BELOW_B) == {name for name, ap in table2.items() if ap < table2["flatpose_b"]}


def test_what_the_papers_own_cells_say():
    judged = claims.judged(NOTHING)
    found = {v: {j.claim.id for j in judged if j.published.verdict == v}
             for v in (FAILS, claims.NOT_PRINTED, claims.ROUNDING)}
    assert found == {FAILS: {"k_cost", "recall_lower_384", "b_rtmpose_m_ap", "b_rtmpose_m_gflops"},
                     claims.NOT_PRINTED: {"simcc_robust", "flatpose_robust"}, claims.ROUNDING: {"l_vitpose_gflops"}}


def test_readings_have_their_alternatives_measured():
    rows = {"base": (30.0, 31.0), "r4_post": (33.0, 34.5)}
    lines = [line("alternatives", row, seed, AP=ap / 100) for row, values in rows.items()
             for seed, ap in enumerate(values)]
    costs = {("alternatives", "base"): {"params_m": 36.0}, ("alternatives", "r4_post"): {"params_m": 36.5}}
    found = readings.effects(frames(lines, costs)).set_index("row")
    assert found.AP["r4_post"] == pytest.approx(0.0325) and found.params_m["r4_post"] == pytest.approx(0.5)
    assert found.n["r4_post"] == 2 and found.n["r3_false"] == 0
    page = readings.files(frames(lines, costs), pd.DataFrame())["readings.md"].decode()
    assert re.search(r"`norm = post`: \+0\.500 M, \+3\.\d ± ", page)
    assert len(re.findall(r"^\| R\d+: ", page, re.MULTILINE)) == len(catalog.entries("readings"))
