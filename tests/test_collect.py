from __future__ import annotations

import json
import time
from dataclasses import replace

import fake_reports as fake
import pytest

from flatpose.errors import DataError
from flatpose.harness import collect
from flatpose.harness.collect import RecordSet

EXPERIMENT = fake.experiment()
EMPTY = RecordSet("fig1")
FIRST = fake.run_of(EXPERIMENT.rows[0])


def test_scan_finds_what_runs_left(tmp_path):
    records = [fake.record(FIRST, seed=s) for s in (0, 1)]
    fake.store(tmp_path / "runs", records)
    (tmp_path / "runs" / "abc" / "seed0" / "x").mkdir(parents=True)  # a run that is not finished
    assert sorted(r["seed"] for r in collect.scan(tmp_path / "runs")) == [0, 1]
    assert collect.scan(tmp_path / "nowhere") == []


def test_merge_keeps_committed_and_takes_the_later():
    old, other = fake.record(FIRST, ap=0.1, ended="2031-01-01"), fake.record(FIRST, seed=5)
    committed = RecordSet("fig1", (old, other))
    newer, older = fake.record(FIRST, ap=0.2, ended="2031-01-02"), fake.record(FIRST, ap=0.3, ended="2030-12-31")
    assert collect.merge(EXPERIMENT, committed, [newer]).records == (newer, other)
    assert collect.merge(EXPERIMENT, committed, [older]).records == (old, other)


def test_dump_is_canonical_and_loads_back(tmp_path):
    records = fake.full(seeds=(0, 1))
    merged = collect.merge(EXPERIMENT, EMPTY, records, fake.costs())
    assert merged.dump() == collect.merge(EXPERIMENT, EMPTY, records[::-1], fake.costs()[::-1]).dump()
    path = tmp_path / "fig1.json"
    path.write_text(merged.dump())
    assert collect.load(path, "fig1") == merged
    assert collect.load(tmp_path / "absent.json", "fig1") == EMPTY


def test_records_nobody_wants_are_orphans_when_committed_and_ignored_when_found():
    stranger = fake.record(replace(FIRST, image_size=(32, 32)))
    merged = collect.merge(EXPERIMENT, RecordSet("fig1", (stranger,)), [fake.record(FIRST)])
    assert collect.orphans(EXPERIMENT, merged) == [stranger]
    assert collect.merge(EXPERIMENT, EMPTY, [stranger]).records == ()


def test_three_thousand_records_are_sorted_at_once():
    """Was quadratic: 36 seconds for these, minutes for a page of 10,000."""
    records = RecordSet("fig1", tuple(fake.record(FIRST, seed=seed) for seed in range(3000)))
    started = time.process_time()
    (setting,) = collect.settings(EXPERIMENT, records)
    assert len(setting.records) == 3000 and time.process_time() - started < 3


def test_unclaimed(tmp_path):
    fake.store(tmp_path, [fake.record(FIRST), fake.record(replace(FIRST, image_size=(32, 32)))])
    assert [r["spec"]["image_size"] for r in collect.unclaimed([EXPERIMENT], tmp_path)] == [[32, 32]]


def test_smoke_records_give_way_to_real_ones():
    smoke = fake.record(fake.run_of(EXPERIMENT.rows[0], "smoke"))
    alone = collect.merge(EXPERIMENT, EMPTY, [smoke])
    assert alone.records == (smoke,)
    assert [r["profile"] for r in collect.merge(EXPERIMENT, alone, [fake.record(FIRST)]).records] == ["quick"]


def test_settings_are_profile_and_data():
    records = fake.full(seeds=(0,)) + fake.full(fake.SUBSET, seeds=(0, 1))
    found = collect.settings(EXPERIMENT, collect.merge(EXPERIMENT, EMPTY, records))
    assert [s.title for s in found] == ["quick · embedded v1 (2000/300 images)",
                                        "quick · COCO subset (1829/338 images)"]
    assert [s.seeds for s in found] == [[0], [0, 1]]
    assert found[0].rows_done == 12 and found[0].box_sources == ["gt", "det:person_boxes.json"]


def test_data_sets_of_one_name_are_told_apart():
    records = [fake.record(FIRST, data=(fake.EMBEDDED[0], key)) for key in ("aaaa1111", "bbbb2222")]
    titles = [s.title for s in collect.settings(EXPERIMENT, RecordSet("fig1", tuple(records)))]
    assert titles == [f"quick · {fake.EMBEDDED[0]} {key}" for key in ("aaaa1111", "bbbb2222")]


@pytest.mark.parametrize(("profile", "data", "source", "reason"), [
    ("quick", fake.EMBEDDED, "embedded", "quick profile, embedded data"),
    ("quick", fake.COCO, "disk", "quick profile"),
    ("paper", fake.SUBSET, "disk", "COCO subset (1829/338 images)"),
    ("paper", fake.COCO, "disk", None),
])
def test_only_the_papers_profile_and_data_compare(profile, data, source, reason):
    made = fake.record(fake.run_of(EXPERIMENT.rows[0], profile, source), data=data)
    [setting] = collect.settings(EXPERIMENT, RecordSet("fig1", (made,)))
    assert setting.incomparable == reason


def test_part_of_the_papers_data_does_not_compare():
    row = EXPERIMENT.rows[0]
    part = replace(row.run, data=replace(row.run.data, max_val_images=100))
    experiment = replace(EXPERIMENT, rows=(replace(row, run=part),))
    made = fake.record(replace(part, profile="paper"), data=fake.COCO)
    assert collect.settings(experiment, RecordSet("fig1", (made,)))[0].incomparable == "only part of COCO 2017"


def test_stale_asks_once_per_spec_and_code():
    asked = []
    stale = collect.stale_check(lambda record, run: asked.append(run) or fake.current(record, run))
    assert not stale(fake.record(FIRST)) and not stale(fake.record(FIRST, seed=2))
    assert stale(fake.record(FIRST, seed=1, code_hash="older"))
    assert asked == [FIRST, FIRST]  # once per spec and code


@pytest.mark.parametrize(("text", "message"), [
    ("{", "not valid JSON"), ('{"schema_version": 9}', "schema version 1"), ("[]", "schema version 1"),
    ('{"schema_version": 1, "records": [{"schema_version": 1}]}', "lacks data_id, seed, spec_hash, status"),
])
def test_damaged_record_files(tmp_path, text, message):
    (tmp_path / "fig1.json").write_text(text)
    with pytest.raises(DataError, match=message):
        collect.load(tmp_path / "fig1.json", "fig1")


def test_record_of_another_schema(tmp_path):
    fake.store(tmp_path, [{**fake.record(FIRST), "schema_version": 2}])
    with pytest.raises(DataError, match="schema version 2; this program reads 1"):
        collect.scan(tmp_path)
    assert json.loads(EMPTY.dump())["records"] == []
