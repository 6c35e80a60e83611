"""Codec ceilings: the grid of experiments/ceilings.py, the measurement, and one against an independent computation."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tiny import write_coco

from experiments.ceilings import CEILINGS, HEATMAP
from flatpose import benchmarks, studies
from flatpose.errors import DataError
from flatpose.studies import ceilings

FEW = [r for r in CEILINGS if r.image_size == (192, 256) and r.series in (HEATMAP, "regression")]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_coco(tmp_path_factory.mktemp("data"))


def test_measuring_continues_where_it_was_interrupted(root, tmp_path):
    path, log = tmp_path / "ceilings.json", Mock()

    def interrupted(found: pd.DataFrame) -> None:
        studies.store(found, path)
        if len(found) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ceilings.measure(FEW, root, jobs=1, reporter=log, save=interrupted)
    log.message.assert_called_once()
    assert "crowdpose" in log.message.call_args.args[0]
    kept, again = studies.load(path), Mock()
    found = ceilings.measure(FEW, root, known=kept, jobs=1, reporter=again, save=lambda f: studies.store(f, path))
    again.start.assert_called_once_with("ceilings", len(FEW) - 2)
    assert len(kept) == 2 and again.advance.call_count == len(FEW) - 2
    pd.testing.assert_frame_equal(studies.load(path), found, check_dtype=False)
    assert list(found["id"]) == [row.id for row in FEW] and set(found["task"]) == {"coco"}
    perfect, coarse = found[found["series"] == "regression"].iloc[0], found[found["x"] == 32].iloc[0]
    assert perfect["AP"] == pytest.approx(1) and perfect["error_px"] < 1e-3
    assert 8 < coarse["error_px"] < 20 and coarse["AP_low"] <= coarse["AP"] <= coarse["AP_high"]


def test_lines_of_other_conditions_are_measured_again(root, monkeypatch):
    row = FEW[0]
    known = ceilings.measure([row], root, jobs=1)

    def remeasured(row: ceilings.Ceiling) -> int:
        log = Mock()
        ceilings.measure([row], root, known=known, jobs=1, reporter=log)
        return log.advance.call_count

    assert remeasured(row) == 0
    assert remeasured(replace(row, codec=replace(row.codec, sigma=1.0))) == 1
    assert remeasured(replace(row, codec=replace(row.codec, flip_shift=1))) == 1
    monkeypatch.setattr(ceilings, "NUMERICS", -1)
    assert remeasured(row) == 1


@pytest.mark.slow
def test_several_processes_give_the_same_lines(root):
    rows = FEW[:2]
    pd.testing.assert_frame_equal(ceilings.measure(rows, root, jobs=2), ceilings.measure(rows, root, jobs=1))


def test_no_annotations_and_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no annotations"):
        ceilings.measure(FEW, tmp_path)
    (tmp_path / "old.json").write_text('{"schema_version": 1, "ceilings": []}')
    with pytest.raises(DataError, match="schema version 2"):
        studies.load(tmp_path / "old.json")
    assert studies.load(tmp_path / "none.json").empty


@pytest.mark.parametrize("stride", [8, 32])
def test_the_heatmap_ceiling_is_what_rounding_alone_gives(shared_data, stride):
    """No codec, no warp: keypoints rounded to the nearest cell of a map laid over the padded box by hand."""
    data = benchmarks.get("coco").validation(shared_data)
    results = []
    for person in data.val.persons:
        x, y, w, h = person.bbox_xywh
        width = 1.25 * max(w, h * 0.75)
        corner = np.array([x + w / 2 - width / 2, y + h / 2 - width / 0.75 / 2])
        cell = width / 192 * stride
        index = np.clip(np.floor((person.keypoints - corner) / cell + 0.5), 0, [192 / stride - 1, 256 / stride - 1])
        triples = np.column_stack([corner + index * cell, np.ones(17)])
        results.append({"image_id": person.image_id, "category_id": 1, "keypoints": triples.ravel().tolist(),
                        "score": 1.0})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data.val.annotation_file))
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    row = next(r for r in FEW if r.series == HEATMAP and r.x == stride)
    found = ceilings.measure([replace(row, tasks=("coco",))], shared_data, jobs=1)
    assert found["AP"].iloc[0] == pytest.approx(evaluation.stats[0], abs=0.003)
