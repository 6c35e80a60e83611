"""Verdicts against the paper and against other records."""

from __future__ import annotations

import json
from dataclasses import replace

import fake_reports as fake
import pytest
from tiny import ROOT

from flatpose.errors import DataError
from flatpose.harness import catalog, compare, frame
from flatpose.harness.record import RecordFile
from flatpose.harness.spec import Published
from flatpose.io import write_text


def one_row(mine, records, costs=(), published=None):
    row = replace(mine.rows[0], published=published or Published(source="Fig. 1(b)", metrics={"AP": 71.8}))
    mine = replace(mine, rows=(row,), reference=None)
    return compare.against_paper(mine, fake.frames(mine, list(records), costs=list(costs)))


@pytest.mark.parametrize(("mean", "half_width", "verdict"), [
    (0.722, None, compare.WITHIN), (0.724, None, compare.OUTSIDE), (0.7241, 0.0001, compare.OUTSIDE),
    (0.7176, 0.0001, compare.WITHIN),  # the interval excludes 71.8, the mean is within 0.5
    (0.73, 0.38, compare.UNDECIDED)])  # contains 71.8, and nearly everything else
def test_tolerance_first_then_interval(mean, half_width, verdict):
    assert compare.judge(mean, half_width, 3, 0.718, 0.005).verdict == verdict


def test_paper_scale_is_compared_for_both_box_sources(mine):
    run = fake.run_of(mine.rows[0], mine, "paper")
    found = one_row(mine, [fake.record(run, data=fake.COCO, ap=0.72)])
    assert found["box_source"].tolist() == ["gt", fake.DET]
    assert found["verdict"].tolist() == [compare.WITHIN, compare.OUTSIDE]
    line = compare.to_dicts(found)[0]
    assert line["published"] == pytest.approx(0.718) and line["difference"] == pytest.approx(0.002)
    assert line["half_width"] is None and line["bootstrap"] == (0.7, 0.73)
    json.dumps(line, allow_nan=False)


@pytest.mark.parametrize(("profile", "data", "reason"), [
    ("quick", fake.EMBEDDED, "quick profile, embedded data"), ("paper", fake.SUBSET, fake.SUBSET[0])])
def test_other_scales_and_data_are_not_compared(mine, profile, data, reason):
    source = "embedded" if data is fake.EMBEDDED else "disk"
    found = one_row(mine, [fake.record(fake.run_of(mine.rows[0], mine, profile, source), data=data)])
    assert found[["verdict", "reason"]].values.tolist() == [[compare.NOT_COMPARABLE, reason]]
    assert found["measured"].isna().all() and found["difference"].isna().all()


def test_not_run_failed_and_other_splits_carry_reasons(mine):
    run = fake.run_of(mine.rows[0], mine, "paper")

    def verdict(records, **said):
        found = one_row(mine, records, published=Published(source="x", metrics={"AP": 71.8}, **said))
        return tuple(found[["verdict", "reason"]].iloc[0])

    assert verdict([]) == (compare.NOT_RUN, "needs COCO")
    broken = fake.record(run, data=fake.COCO, reason="loss became NaN")
    assert verdict([broken]) == (compare.FAILED, "seed 0 failed: loss became NaN")
    done = fake.record(run, data=fake.COCO, ap=0.718)
    assert verdict([done, fake.record(run, data=fake.COCO, seed=1, reason="x")])[0] == compare.WITHIN
    assert verdict([done], split="COCO test-dev") == (compare.NOT_COMPARABLE, "published on COCO test-dev")
    assert verdict([fake.record(run, data=fake.COCO, ap=0.8)], misprints={"AP": "another's"}) == (
        compare.MISPRINT, "80.0 (another's)")
    assert verdict([done], misprints={"AP": "another's"})[0] == compare.WITHIN, "a mark does not hide agreement"
    assert verdict([fake.record(run, data=fake.COCO, ap=0.718, numerics=0)])[1].startswith("stale")


def test_costs_are_compared_as_the_print_was_counted(mine):
    counted = fake.costs()[0] | {"table6": {"D": 256, "MLP": [66, 128]}}
    said = Published(source="x", params_m=34.0, gflops=5.5, params_by="leaf", gflops_by="hrnet_tool",
                     built={"D": 256, "MLP": [66, 64]})
    found = one_row(mine, [], [counted], said)
    assert found[["quantity", "verdict"]].values.tolist() == [
        ["params_m", compare.WITHIN], ["gflops", compare.NOT_RUN], ["D", compare.WITHIN], ["MLP[0]", compare.WITHIN],
        ["MLP[1]", compare.OUTSIDE]]
    assert set(one_row(mine, [], [], said)["verdict"]) == {compare.NOT_RUN}


def records(mine, ap, seeds=(0, 1, 2), **changes):
    run = fake.run_of(mine.rows[0], mine)
    return fake.frames(mine, [fake.record(run, seed=s, ap=ap + s / 1000, **changes) for s in seeds])


@pytest.mark.parametrize(("theirs", "seeds", "verdict"), [
    (0.401, (0, 1, 2), compare.WITHIN), (0.30, (0, 1, 2), compare.OUTSIDE),
    (0.402, (0,), compare.WITHIN), (0.42, (0,), compare.UNDECIDED), (0.44, (0,), compare.OUTSIDE)])
def test_against_other_records_differences_are_paired(mine, theirs, seeds, verdict):
    """With one seed each, overlapping intervals over images decide nothing."""
    found = compare.against_records(mine, records(mine, 0.40, seeds), records(mine, theirs, seeds), "old")
    gt = found[found["box_source"] == "gt"].iloc[0]
    assert (gt.verdict, gt.n, gt.against) == (verdict, len(seeds), "old")
    assert gt.difference == pytest.approx(0.40 - theirs)
    assert compare.to_dicts(found)[0]["other"] == pytest.approx(theirs + sum(seeds) / len(seeds) / 1000)


@pytest.mark.parametrize(("changes", "verdict", "reason"), [
    ({"numerics": 9}, compare.NOT_COMPARABLE, "numerics differ"),
    ({"results": [fake.result(0.4) | {"score_rule": "another"}]}, compare.NOT_COMPARABLE, "flip test or score rule"),
    ({"data": ("embedded v2", "x")}, compare.NOT_RUN, "no record here"),
    ({"results": [fake.result(0.4, "det:others.json")]}, compare.NOT_RUN, "no record here")])
def test_unlike_records_are_not_judged(mine, changes, verdict, reason):
    found = compare.against_records(mine, records(mine, 0.4), records(mine, 0.4, **changes), "other").iloc[0]
    assert found.verdict == verdict and found.reason.startswith(reason)


def test_against_a_folder_and_a_file(mine, tmp_path):
    file = records(mine, 0.50).files["mine"].model_copy(update={"costs": RecordFile.model_validate(
        {"experiment": "mine", "costs": fake.costs()}).costs})
    data = tmp_path / "reports/data/mine.json"
    write_text(data, file.dump())
    fake.store(tmp_path / "runs", list(file.records))
    for other in (data, tmp_path / "runs"):
        found = compare.compare(mine, tmp_path, against=other)
        assert set(found["verdict"]) == {compare.WITHIN} and len(found) == (2 if other != data else 2 + 8)
    with pytest.raises(DataError, match="no such file"):
        compare.compare(mine, tmp_path, against=tmp_path / "nowhere.json")


def test_every_printed_cost_is_matched_in_its_convention_or_known_to_be_wrong():
    """Of Tables 1 to 5, by the committed counts. The others are another row's: here is what is right."""
    wrong = {("table2", "sharpose_base_384", "params_m"): "118.5", ("table3", "simcc", "params_m"): "70.6"}
    read = frame.read(ROOT, experiments=[catalog.load(f"table{n}") for n in range(1, 6)])
    counted = frame.Frames(read.experiments, {
        name: file.model_copy(update={"records": ()}) for name, file in read.files.items()})
    found = {(c.experiment, c.row, c.quantity): c for e in read.experiments.values()
             for c in compare.against_paper(e, counted).itertuples() if c.quantity in ("params_m", "gflops")}
    assert len(found) == 2 * (3 + 16 + 6 + 13)
    assert {key for key, c in found.items() if c.verdict != compare.WITHIN} == set(wrong)
    for key, right in wrong.items():
        assert found[key].verdict == compare.MISPRINT and found[key].reason.startswith(f"{right} (")


def test_misprints_name_numbers_that_are_printed():
    for name in catalog.ids():
        for row in catalog.load(name).rows:
            said = row.published
            if said and name != "controlled":  # which leaves Table 2's metrics out
                printed = {*said.metrics, *(q for q in ("params_m", "gflops") if getattr(said, q) is not None)}
                assert set(said.misprints) <= printed, (name, row.id)
