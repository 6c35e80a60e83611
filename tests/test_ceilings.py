"""Codec ceilings: the grid, the measurement, the committed answers against an independent computation, the page."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tiny import write_coco

from flatpose import benchmarks
from flatpose.codecs import build_codec
from flatpose.config import HeatmapCodecConfig
from flatpose.errors import DataError
from flatpose.harness import ceilings, ceilings_page, ceilings_plot, plots, sites
from flatpose.harness.verify import accept
from flatpose.progress import SILENT

REPORTS = Path(__file__).parents[1] / "reports"


def entry(series: str, x: float | None, ap: float, part: str = "map", size: tuple[int, int] = (192, 256)) -> dict:
    return {"row": f"{part} {series} {x}", "task": "coco", "series": series, "part": part, "x": x, "data": "made up",
            "image_size": list(size), "codec": {}, "data_id": "d", "code_hash": "c", "metrics": {"AP": ap},
            "bootstrap": {}, "error_px": 1.0, "outside": 0.01,
            "provenance": {"git_sha": "0" * 40, "versions": {"torch": "2"}, "cpu": "a CPU", "ended": "2031",
                           "seconds": 1.0}}


def test_the_grid_covers_every_codec_map_and_input_size():
    rows = ceilings.declared()
    assert len({r.id for r in rows}) == len(rows)
    assert {r.codec.kind for r in rows} == {"heatmap", "simcc", "regression", "sar"}
    gridded = {(r.codec.encode, r.codec.decode, r.codec.udp) for r in rows if isinstance(r.codec, HeatmapCodecConfig)}
    assert gridded == {("rounded", "quarter", False), ("exact", "quarter", False), ("exact", "dark", False),
                       ("exact", "dark", True), ("exact", "dark_udp", True)}
    for task, size in (("coco", (192, 256)), ("coco", (288, 384)), ("crowdpose", (192, 256)),
                       ("crowdpose", (288, 384)), ("mpii", (256, 256))):
        found = {(r.series, size[1] / r.x) for r in rows
                 if r.part == "map" and r.image_size == size and r.x and task in r.tasks}
        codecs = {series for series, _ in found}
        assert len(codecs) == len(gridded) + 1  # and SimCC with one bin per cell
        assert found >= {(series, cells) for series in codecs for cells in (64, 32, 16, 8)}


@pytest.fixture
def few(monkeypatch) -> None:
    rows = [r for r in ceilings.declared() if r.image_size == (192, 256) and r.series in (
        "heatmap as in HRNet", "regression")]
    monkeypatch.setattr(ceilings, "declared", lambda: tuple(rows))


def test_measuring_goes_on_where_it_was_stopped(tmp_path, monkeypatch, few):
    root, reports = write_coco(tmp_path / "data"), tmp_path / "reports"
    todo, data, missing = ceilings.jobs(root)
    assert {j.task for j in todo} == {"coco"} and data["coco"].label == "COCO subset, val2017 (3 images, 5 persons)"
    assert len(missing) == 1 and "crowdpose_test.json" in missing[0]
    ceilings.measure(todo[:3], data, reports, SILENT)
    kept, measured = ceilings.load(reports), []
    real = ceilings._measured
    monkeypatch.setattr(ceilings, "_measured", lambda job, *a: measured.append(job.key) or real(job, *a))
    answers = ceilings.measure(todo, data, reports, SILENT)
    assert measured == [j.key for j in todo[3:]] and answers[:3] == kept
    assert [(a["row"], a["task"]) for a in ceilings.load(reports)] == [j.key for j in todo]
    perfect = next(a for a in answers if a["series"] == "regression")
    assert perfect["metrics"]["AP"] == pytest.approx(1) and perfect["error_px"] < 1e-3
    coarse = next(a for a in answers if a["x"] == 32 and a["part"] == "map")
    assert 8 < coarse["error_px"] < 20 and coarse["bootstrap"]["AP"][0] <= coarse["metrics"]["AP"]
    assert ceilings_page.files(reports).keys() == {"ceilings.md", "ceilings.svg", "ceilings.csv"}


def test_ceilings_of_older_code_stay_when_some_measured_again_are_equal(tmp_path, monkeypatch, few):
    root, reports = write_coco(tmp_path / "data"), tmp_path / "reports"
    monkeypatch.chdir(tmp_path)
    todo, data, _ = ceilings.jobs(root)
    ceilings.measure(todo, data, reports, SILENT)
    entries = [{**e, "code_hash": "old"} for e in ceilings.load(reports)]
    wrong = min((e for e in entries if e["codec"]["kind"] == "heatmap"), key=lambda e: e["provenance"]["seconds"])
    wrong["metrics"] = {**wrong["metrics"], "AR": 0.123}
    ceilings._write(reports, entries)
    assert not any(ceilings.is_current(e, ceilings.code_hash()) for e in entries)
    found = ceilings.verify(todo, data, reports, SILENT)
    assert [(v.codec, list(v.differences)) for v in sorted(found, key=lambda v: v.codec)] == [
        ("ceiling, heatmap", ["AR"]), ("ceiling, regression", [])]
    monkeypatch.setattr(sites, "root", lambda: tmp_path)
    accept(found, reports)
    assert {e["codec"]["kind"] for e in entries if ceilings.is_current(e, ceilings.code_hash())} == {"regression"}


def test_other_schema_is_refused_and_nothing_is_no_page(tmp_path):
    assert ceilings_page.files(tmp_path) == {}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ceilings.json").write_text('{"schema_version": 9}')
    with pytest.raises(DataError, match="schema version 1"):
        ceilings.load(tmp_path)


def committed(series: str, x: float) -> dict:
    return next(e for e in ceilings.load(REPORTS) if (e["task"], e["part"], e["series"], e["x"], e["image_size"]) ==
                ("coco", "map", series, x, [192, 256]))


@pytest.mark.parametrize("stride", [8, 32])
def test_the_committed_heatmap_ceiling_is_what_rounding_alone_gives(shared_data, stride):
    """No codec, no warp: keypoints rounded to the nearest cell of a map laid over the padded box by hand."""
    path = shared_data / "coco" / "annotations" / "person_keypoints_val2017.json"
    results = []
    for person in benchmarks.COCO._split(path, path.parent, scored=True).persons:
        x, y, w, h = person.bbox_xywh
        width = 1.25 * max(w, h * 0.75)
        corner = np.array([x + w / 2 - width / 2, y + h / 2 - width / 0.75 / 2])
        cell = width / 192 * stride
        index = np.floor((person.keypoints - corner) / cell + 0.5)
        index = np.clip(index, 0, [192 / stride - 1, 256 / stride - 1])
        triples = np.column_stack([corner + index * cell, np.ones(17)])
        results.append({"image_id": person.image_id, "category_id": 1, "keypoints": triples.ravel().tolist(),
                        "score": 1.0})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert committed("heatmap as in HRNet", stride)["metrics"]["AP"] == pytest.approx(evaluation.stats[0], abs=0.003)


def test_the_committed_page_is_what_its_data_say():
    for name, content in ceilings_page.files(REPORTS).items():
        old = (REPORTS / name).read_bytes()
        assert plots.same_plot(old, content) if name.endswith(".svg") else old == content, name
    text = (REPORTS / "ceilings.md").read_text(encoding="utf-8")
    assert "COCO subset, val (338 images, 835 persons)" in text and "CrowdPose val" in text


def test_bends_are_found_at_both_ends():
    name = "expectation, 2 bins per pixel"
    curve = [entry(name, x, ap, "sigma") for x, ap in ((1, 0.90), (2, 0.985), (4, 0.99), (8, 0.988), (16, 0.80))]
    (text,) = ceilings_page._bends(curve, "sigma", "pixels of sigma")
    assert "below 2 (98.5 AP; 90.0 at 1) and above 8 (98.8 AP; 80.0 at 16, 80.0 at 16) pixels" in text
    (flat,) = ceilings_page._bends(curve[1:4], "sigma", "pixels of sigma")
    assert "nowhere in the range measured" in flat


@pytest.mark.parametrize("low, words", [(0.137, "representation alone accounts for all"), (0.5, "are the network's")])
def test_the_verdict_follows_the_numbers(low, words):
    found = ceilings_page.findings([entry("heatmap as in HRNet", 4, 0.98), entry("heatmap as in HRNet", 32, low)])
    assert len(found) == 1 and words in found[0]


def test_a_codec_without_cells_is_a_level_line_and_stale_cells_are_marked():
    rows = [entry("heatmap, DARK", 4, 0.9), entry("heatmap, DARK", 8, 0.8), entry("SimCC, 2 bins per pixel", None, 0.7)]
    (table,) = ceilings_page.tables(rows, lambda e: e["x"] == 8)
    assert [c.title for c in table.columns] == ["64×48", "32×24"]
    assert [[c.value for c in line.cells] for line in table.rows] == [[90, 80], [70, 70]]
    assert [c.status for c in table.rows[0].cells] == ["done", "stale"]
    level = ceilings_plot.plot_data(rows)["map"]["curves"][1]
    assert level["points"] == [(4, 70.0), (8, 70.0)]
    json.dumps(ceilings_plot.plot_data(rows))


def test_a_ceiling_of_rounded_targets_is_not_the_best_that_a_network_can_do():
    """The rounded target is symmetric, so that the quarter step has nothing to go by; an unrounded peak has more."""
    keypoints, weights = torch.tensor([[[43.0, 27.0]]]), torch.ones(1, 1)  # 3 pixels right of its cell of 8
    rounded, exact = (build_codec(HeatmapCodecConfig(stride=8, sigma=1.0, encode=how), (64, 64), 1)
                      for how in ("rounded", "exact"))
    target, learned = (codec.decode(codec.encode(keypoints, weights))[0] for codec in (rounded, exact))
    assert target.tolist() == [[[40.0, 24.0]]] and learned.tolist() == [[[42.0, 26.0]]]
