"""Which records belong to which rows, and what the frame says of them."""

from __future__ import annotations

import fake_reports as fake
import pandas as pd
import pytest
from made_frames import frames as made_frames
from made_frames import line

from flatpose.errors import DataError
from flatpose.harness import catalog, frame, tables
from flatpose.harness.record import RecordFile
from flatpose.io import write_text


def test_one_line_per_result_with_all_columns(mine):
    run = fake.run_of(mine.rows[0], mine)
    found = fake.frames(mine, [fake.record(run), fake.record(run, seed=1, reason="loss became NaN")]).results
    assert list(found.columns[:len(frame.COLUMNS)]) == list(frame.COLUMNS)
    assert found["status"].tolist() == ["done"] * 4 + ["failed"]
    first, failed = found.iloc[0], found.iloc[-1]
    assert (first.row, first.profile, first.weights, first.AP) == ("heatmap_s4", "quick", "ema", 0.4)
    assert (first.params_m, first.input_h, first.epochs, first.train_s) == (1.25, 128, 6, 55.0)
    assert failed.reason == "loss became NaN" and pd.isna(failed.AP) and failed.seed == 1
    assert set(found["kind"]) == {"trained", "ceiling"}


def test_a_record_belongs_to_the_rows_whose_run_it_is(mine):
    run = fake.run_of(mine.rows[0], mine)
    real = fake.record(fake.run_of(mine.rows[0], mine, source="disk"), data=fake.SUBSET)
    stranger = fake.record(run, seed=7, spec_hash="0123456789ab")
    found = fake.frames(mine, [fake.record(run), real, stranger]).results
    assert set(found["data_id"]) == {"embedded0000", "subset000000"} and 7 not in set(found["seed"])


def test_different_data_of_one_label_are_told_apart(mine):
    run = fake.run_of(mine.rows[0], mine)
    found = fake.frames(mine, [fake.record(run, data=("a set", i)) for i in ("first0000000", "second000000")]).results
    assert set(found["data"]) == {"a set first000", "a set second00"}


def test_records_are_shared_and_the_later_one_stays(mine, tmp_path):
    """``reports/data`` of any experiment, then runs/; an unwanted record of the own file stays, a smoke record goes."""
    run = fake.run_of(mine.rows[0], mine)
    own = [fake.record(run, ap=0.1, ended="2030"), fake.record(run, seed=9, spec_hash="0123456789ab")]
    for name, records in (("mine", own), ("other", [fake.record(run, ap=0.2, ended="2031")])):
        write_text(tmp_path / f"reports/data/{name}.json", RecordFile(experiment=name, records=records).dump())
    fake.store(tmp_path / "runs", [fake.record(run, ap=0.3, ended="2029"), fake.record(run, seed=1, ap=0.3),
                                   fake.record(fake.run_of(mine.rows[0], mine, "smoke"))])
    found = frame.read(tmp_path, tmp_path / "runs", experiments=[mine])
    best = found.results[(found.results["weights"] == "ema") & (found.results["box_source"] == "gt")]
    assert best.set_index("seed")["AP"].to_dict() == {0: 0.2, 1: 0.3}
    assert sorted((r.seed, r.profile) for r in found.files["mine"].records) == [(s, "quick") for s in (0, 1, 9)]


def test_a_damaged_file_is_an_error(mine, tmp_path):
    write_text(tmp_path / "reports/data/mine.json", '{"schema_version": 2, "experiment": "mine", "recrods": []}')
    with pytest.raises(DataError, match="recrods"):
        frame.read(tmp_path, experiments=[mine])


def test_nothing_measured_is_an_empty_frame(mine, tmp_path):
    found = frame.read(tmp_path, tmp_path / "runs", experiments=[mine])
    assert found.results.empty and found.costs.empty and found.latencies.empty
    assert frame.summary(found.results).empty and found.of("mine").best == []
    assert tables.own_boxes(found).empty


def test_best_evidence_is_the_largest_scale_with_most_rows_done(mine):
    quick, paper = fake.full(mine), fake.full(mine, fake.COCO, profile="paper", seeds=(0,))
    failed = [fake.record(fake.run_of(row, mine, "paper"), data=fake.COCO, reason="x") for row in mine.rows]
    small, large = ("quick", "embedded0000"), ("paper", "coco20170000")
    for other, best in ((paper[:2], small), (paper[:3], large), (failed, small)):
        found = fake.frames(mine, quick + other).of("mine")
        assert found.best == [best] and set(found.settings("coco")) == {small, large}


@pytest.mark.parametrize(("profile", "small", "large", "best"), [
    ("coco_mini", 2, 1, "quick"), ("coco_mini", 2, 2, "coco_mini"), ("coco_mini", 1, 1, "coco_mini"),
    ("paper", 2, 1, "paper")])
def test_a_reduced_scale_with_one_seed_does_not_replace_one_with_two(profile, small, large, best):
    found = made_frames([line("fig1", row.id, seed, AP=0.5, profile=scale, data_id=scale)
                         for scale, seeds in (("quick", small), (profile, large)) for seed in range(seeds)
                         for row in catalog.load("fig1").rows])
    assert found.of("fig1").best == [(best, best)]


def test_summary_takes_averaged_weights_and_the_right_interval(mine):
    run, other = (fake.run_of(mine.rows[i], mine) for i in (0, 2))
    raw = fake.record(other, results=[fake.result(0.3, weights="raw")])
    found = frame.summary(fake.frames(mine, [fake.record(run, seed=s, ap=0.4 + s / 100) for s in (0, 1, 2)] + [raw]
                                      ).results)
    lines = found[found["kind"] == "trained"].set_index(["row", "box_source"])
    several, one = lines.loc[("heatmap_s4", "gt")], lines.loc[("simcc_s4", "gt")]
    assert several["mean"] == pytest.approx(0.41) and several["n"] == 3
    assert (several["low"], several["high"]) == pytest.approx((0.41 - 0.02484, 0.41 + 0.02484), abs=1e-4)
    assert (one["mean"], one["n"], one["low"], one["high"]) == pytest.approx((0.3, 1, 0.28, 0.31))
    assert lines.loc[("heatmap_s4", fake.DET), "condition"] == (
        "detector boxes (person_boxes.json), with flip test, a rule")


def test_older_numerics_are_stale(mine, monkeypatch):
    monkeypatch.setattr("flatpose.NUMERICS", 3)
    run = fake.run_of(mine.rows[0], mine)
    found = fake.frames(mine, [fake.record(run, numerics=2), fake.record(run, seed=1, numerics=3)]).results
    assert found.groupby("seed")["stale"].all().to_dict() == {0: True, 1: False}


def test_parts_of_one_data_set_keep_their_own_labels():
    lines = pd.DataFrame([("paper", "a", "COCO"), ("dry", "a", "COCO, first 5 images"), ("paper", "a", None),
                          ("quick", "b", "small"), ("quick", "c", "small"), ("quick", "d", None)],
                         columns=["profile", "data_id", "data"])
    assert frame._distinct_labels(lines) == ["COCO", "COCO, first 5 images", "COCO", "small b", "small c", "data d"]
