from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import fake_reports as fake
import pytest
from typer.testing import CliRunner

from flatpose.errors import SpecError
from flatpose.harness import collect, compare, comparison_tables, report, stats
from flatpose.harness.collect import RecordSet
from flatpose.harness.compare_records import against_records
from flatpose.harness.spec import Published

EXPERIMENT = fake.experiment()
ROW = EXPERIMENT.rows[0]
PAPER = fake.run_of(ROW, "paper")


def one_row(records, costs=(), published=None):
    row = ROW if published is None else replace(ROW, published=published)
    return compare.against_paper(replace(EXPERIMENT, rows=(row,)), RecordSet("fig1", tuple(records), tuple(costs)))


@pytest.mark.parametrize(("values", "verdict"), [
    ([0.718], compare.WITHIN), ([0.722], compare.WITHIN), ([0.724], compare.OUTSIDE),
    ([0.7175, 0.7176, 0.7177], compare.WITHIN),     # the interval misses 71.8, the mean is within 0.5
    ([0.7240, 0.7241, 0.7242], compare.OUTSIDE),
    ([0.70, 0.76], compare.UNDECIDED),              # holds 71.8, and nearly everything else
    ([0.7165, 0.7180, 0.7195], compare.WITHIN),
])
def test_interval_first_then_tolerance(values, verdict):
    assert compare.judge(stats.estimate(values), 0.718, 0.005).verdict == verdict


def test_wide_interval_says_so():
    reason = compare.judge(stats.estimate([0.70, 0.76]), 0.718, 0.005).reason
    assert reason.startswith("n = 2: the interval ±38.1") and "wider than the tolerance 0.5" in reason


def test_paper_profile_on_paper_data_is_compared_for_both_box_sources():
    found = one_row([fake.record(PAPER, data=fake.COCO, ap=0.72)])
    assert [(c.box_source, c.verdict) for c in found] == [
        ("gt", compare.WITHIN), ("det:person_boxes.json", compare.OUTSIDE)]
    assert found[0].difference == pytest.approx(0.002)
    values = found[0].to_dict()
    assert values["published"] == pytest.approx(0.718) and values["measured"] == 0.72 and "reference" not in values


def test_quick_numbers_never_get_a_verdict_against_coco():
    records = [*fake.full(), *fake.full(fake.SUBSET, seeds=(0,))]
    found = compare.against_paper(EXPERIMENT, RecordSet("fig1", tuple(records)))
    assert {c.row for c in found} == {"heatmap_s4", "heatmap_s32"}
    for c in found:
        assert c.verdict == compare.NOT_COMPARABLE and c.measured is None and c.difference is None
        assert c.reason == "quick profile, embedded data; quick profile, COCO subset (1829/338 images)"


def test_not_run_and_failed_carry_reasons():
    [absent] = one_row([])
    assert (absent.verdict, absent.reason) == (compare.NOT_RUN, "needs COCO")
    [broken] = one_row([fake.failed(PAPER, data=fake.COCO)])
    assert (broken.verdict, broken.reason) == (compare.FAILED, "seed 0 failed: loss became NaN | at step 7")
    assert one_row([fake.record(PAPER, data=fake.COCO), fake.failed(PAPER, data=fake.COCO, seed=1)])[0].n == 1
    other = fake.record(fake.run_of(EXPERIMENT.rows[1], "paper"), data=fake.COCO)
    records = RecordSet("fig1", (fake.failed(PAPER, data=fake.COCO), other))
    found = [c for c in compare.against_paper(EXPERIMENT, records) if c.row == ROW.id]
    assert {c.verdict for c in found} == {compare.FAILED}


def test_costs_always_compare():
    published = Published(source="Table 5 (1)", params_m=34.0, gflops=5.5)
    found = one_row([], [{"row": ROW.id, "params_m": 33.9996, "gflops": 5.0}], published)
    assert [(c.quantity, c.verdict) for c in found] == [("params_m", compare.WITHIN), ("gflops", compare.OUTSIDE)]
    assert {c.verdict for c in one_row([], [], published)} == {compare.NOT_RUN}


def test_stale_measurement_is_named():
    records = RecordSet("fig1", (fake.record(PAPER, data=fake.COCO, ap=0.718, code_hash="older"),))
    stale = collect.stale_check(fake.current)
    assert compare.against_paper(EXPERIMENT, records, stale)[0].reason == "measured by older code"


def test_measure_says_which_seeds_failed():
    run = fake.run_of(ROW)
    records = RecordSet("fig1", (fake.record(run), fake.record(run, seed=1), fake.failed(run, seed=2)))
    [setting] = collect.settings(EXPERIMENT, records)
    found = compare.measure(setting, ROW, "AP", "gt")
    assert found.seeds == (0, 1) and found.failures == ("seed 2 failed: loss became NaN | at step 7",)
    assert found.runs[1] == f"{fake.spec_hash(run)}/seed1/embedded0000"
    assert compare.measure(setting, ROW, "AP75", "gt").reason == "AP75 with gt boxes was not evaluated"
    assert compare.measure(setting, ROW, "AP", "gt", weights="raw").values[0] == pytest.approx(0.36)


def test_against_other_records():
    run = fake.run_of(ROW)
    ours = RecordSet("fig1", tuple(fake.record(run, seed=s, ap=0.40 + s / 1000) for s in (0, 1, 2)))
    same = RecordSet("fig1", tuple(fake.record(run, seed=s, ap=0.401 + s / 1000) for s in (0, 1, 2)))
    worse = RecordSet("fig1", tuple(fake.record(run, seed=s, ap=0.30 + s / 1000) for s in (0, 1, 2)))
    gt = against_records(EXPERIMENT, ours, same, "old.json")[0]
    assert (gt.verdict, gt.box_source, gt.n, gt.against) == (compare.WITHIN, "gt", 3, "old.json")
    assert gt.to_dict()["other"] == pytest.approx(0.402) and gt.difference == pytest.approx(-0.001)
    found = against_records(EXPERIMENT, ours, worse, "old")
    assert {c.verdict for c in found if not c.plain} == {compare.OUTSIDE}
    assert [(c.quantity, c.difference) for c in found if c.plain] == [("params_m", 0.0), ("gflops", 0.0)]


@pytest.mark.parametrize(("theirs", "verdict", "reason"), [
    (0.402, compare.WITHIN, ""),                                              # within 0.5 AP, whatever the images say
    (0.42, compare.UNDECIDED, "one seed each: the intervals over images meet"),  # [40, 43] reaches [38, 41]
    (0.44, compare.OUTSIDE, ""),
])
def test_one_seed_each_is_decided_by_intervals_over_images(theirs, verdict, reason):
    run = fake.run_of(ROW)
    found = against_records(EXPERIMENT, RecordSet("fig1", (fake.record(run, ap=0.40),)),
                            RecordSet("fig1", (fake.record(run, ap=theirs),)), "other")[0]
    assert (found.verdict, found.reason) == (verdict, reason) and found.bootstrap == pytest.approx((0.38, 0.41))


def test_terminal_tables_are_by_setting_and_leave_equal_costs_out():
    ours, theirs = fake.full() + fake.full(fake.SUBSET, seeds=(0,)), fake.full() + fake.full(fake.SUBSET, seeds=(0,))
    theirs[0]["cost"] = theirs[1]["cost"] = theirs[2]["cost"] = {"params_m": 2.0, "gflops": 0.1234}
    found = against_records(EXPERIMENT, RecordSet("fig1", tuple(ours)), RecordSet("fig1", tuple(theirs)), "HEAD")
    made = comparison_tables.by_setting(EXPERIMENT, found, "HEAD")
    embedded, subset = ("quick · " + data[0] for data in (fake.EMBEDDED, fake.SUBSET))
    assert [t.title.removeprefix("fig1 against HEAD: ") for t in made] == [
        f"{setting}, {what}" for setting in (embedded, subset)
        for what in ("ground-truth boxes", "detector boxes (person_boxes.json)", "networks as run")]
    costs = made[2]
    assert [(line.id, line.cells[0].value) for line in costs.rows] == [("heatmap_s4", "parameters (M)")]
    assert costs.notes[-1] == "rows with equal parameters and GFLOPs: 12" and not made[5].rows
    assert not {c.key for t in made for c in t.columns} & {"source", "boxes"}


@pytest.mark.parametrize(("changes", "reason"), [
    ({"code_hash": "other"}, "code differs"), ({"data": ("embedded v2", "x")}, "data differ"),
])
def test_unlike_records_are_not_judged(changes, reason):
    run = fake.run_of(ROW)
    found = against_records(EXPERIMENT, RecordSet("fig1", (fake.record(run),)),
                            RecordSet("fig1", (fake.record(run, **changes),)), "other")
    assert {(c.verdict, c.reason) for c in found if not c.plain} == {(compare.NOT_COMPARABLE, reason)}


def test_other_boxes_or_another_rule_are_not_judged():
    run = fake.run_of(ROW)
    ours, theirs = fake.record(run), fake.record(run)
    for result in theirs["results"]:
        result["box_source"] = result["box_source"].replace("det:person_boxes", "det:other_boxes")
        if result["box_source"] == "gt":
            result["score_rule"] = "another rule"
    found = against_records(EXPERIMENT, RecordSet("fig1", (ours,)), RecordSet("fig1", (theirs,)), "other")
    assert [(c.box_source, c.verdict) for c in found if not c.plain] == [("gt", compare.NOT_COMPARABLE),
                                                          ("det:other_boxes.json", compare.NOT_COMPARABLE)]
    assert found[0].reason == "flip test or score rule differs" and found[1].reason.startswith("boxes differ: ours are")


def test_against_an_earlier_commit(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True,
                       capture_output=True)

    data = tmp_path / "reports" / "data" / "fig1.json"
    data.parent.mkdir(parents=True)
    run = fake.run_of(ROW)
    git("init")
    for ap in (0.40, 0.50):
        data.write_text(RecordSet("fig1", tuple(fake.record(run, seed=s, ap=ap + s / 1000) for s in (0, 1, 2))).dump())
        git("add", "-A")
        git("commit", "-m", "x")
    old = report.comparisons(EXPERIMENT, tmp_path, revision="HEAD~1", stale=lambda record: False)[0]
    assert old.verdict == compare.OUTSIDE and old.difference == pytest.approx(0.1) and old.against == "HEAD~1"
    for revision in ("HEAD~7", "--output=x", "nothing"):
        with pytest.raises(SpecError, match="no records there"):
            report.comparisons(EXPERIMENT, tmp_path, revision=revision, stale=lambda record: False)


@pytest.mark.parametrize(("words", "said"), [
    (["fig3"], "The paper prints nothing that fig3 could be compared with; --git REV and --against PATH"),
    (["fig3", "--against", "."], "No row was measured on both sides"),
    (["table1"], "GFLOPs, every matmul"),
])
def test_the_command_says_why_it_shows_nothing(tmp_path, monkeypatch, words, said):
    from flatpose.harness.cli_tools import app

    data = Path(__file__).parents[1] / "reports" / "data" / "table1.json"
    (tmp_path / "reports" / "data").mkdir(parents=True)
    shutil.copy(data, tmp_path / "reports" / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATPOSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("flatpose.harness.sites.root", lambda: tmp_path)
    answer = CliRunner().invoke(app, ["compare", *words])
    assert answer.exit_code == 0 and said in " ".join(answer.output.split()), answer.output
