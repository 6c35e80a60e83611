"""Figs. 3 to 6: inner tensors read by hooks, maps and OKS by hand, pictures of tiny networks, facts and pages."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import fake_reports
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny import write_coco

from experiments.fig5 import EXPERIMENT as FIG5
from experiments.fig6 import EXPERIMENT as FIG6
from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.benchmarks import COCO
from flatpose.data import identity, load
from flatpose.data.annotations import read_truth
from flatpose.data.transforms import plain_view, view_matrix
from flatpose.errors import DataError, SpecError
from flatpose.figures.draw import draw, map_of, oks, pitch
from flatpose.figures.sight import Network, Sight, look, shown_persons, spread, watch
from flatpose.geometry import transform_points
from flatpose.harness import catalog, pictures
from flatpose.harness.plan import PlannedRun, make_plan
from flatpose.harness.record import parse
from flatpose.harness.spec import Experiment, at_profile
from flatpose.io import write_bytes, write_json
from flatpose.keypoints import COCO17
from flatpose.metrics import closeness
from flatpose.models import build_model
from flatpose.progress import SILENT


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return COCO.load(write_coco(tmp_path_factory.mktemp("coco"), images={"train": 1, "val": 5}))


def network(folder: Path, experiment: Experiment, row: str) -> Network:
    """The row's network at the smoke profile, untrained."""
    found = next(r for r in experiment.rows if r.id == row)
    run = at_profile(found.run, experiment.profiles["smoke"])
    torch.manual_seed(0)
    module = build_model(run.model, run.codec, run.image_size, 17, pretrained=False)
    path = folder / f"{experiment.id}_{row}.safetensors"
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, path)
    return Network(row, found.label, run, path)


def sight(of: Network, keypoints: list[list[list[float]]], **given: object) -> Sight:
    """Persons with these keypoints, all labelled, in crops of 64x64."""
    points = torch.tensor(keypoints)
    base = Sight(of, np.zeros((len(points), 64, 64, 3), np.uint8), points, torch.ones(points.shape[:2]).bool(), points,
                 {}, {})
    return replace(base, **given)


def test_hooks_see_what_the_blocks_compute(tmp_path):
    """Attention is the softmax of the content scores plus ICA's bias; the selected tokens have the highest salience."""
    of = network(tmp_path, TABLE5, "ours")
    module = build_model(of.run.model, of.run.codec, of.run.image_size, 17, pretrained=False).eval()
    found, given = watch(module), []
    attention = module.coarse[0].attention
    attention.register_forward_hook(lambda layer, inputs, _: given.append(inputs[:2]))
    width, height = of.run.image_size
    with torch.inference_mode():
        module(torch.randn(2, 3, height, width))
        attention(*given[0])  # once more, without the bias
    blocks, rounds = len(module.coarse), of.run.model.num_refine_blocks
    assert {name: len(parts) for name, parts in found.items()} == {
        "attention": blocks + 1, "attn_bias": blocks, "salience": rounds, "selected": rounds}
    biased, plain = found["attention"][0], found["attention"][-1]
    torch.testing.assert_close((plain.log() + found["attn_bias"][0]).softmax(-1), biased)
    best = found["salience"][0].gather(1, found["selected"][0])
    assert (best.min(1).values == found["salience"][0].sort(descending=True).values[:, best.shape[1] - 1]).all()


def test_the_outermost_keypoint_is_labelled_and_inside(tmp_path):
    found = sight(network(tmp_path, TABLE5, "ours"), [[[10.0, 10.0], [12.0, 10.0], [60.0, 60.0]],
                                                      [[10.0, 10.0], [12.0, 10.0], [90.0, 60.0]]])
    assert found.extremity().tolist() == [2, 0]
    assert replace(found, labelled=torch.zeros(2, 3).bool()).extremity().tolist() == [0, 0]


def test_map_of_simcc_peaks_where_it_is_decoded_and_heatmaps_are_clipped(tmp_path):
    simcc, heatmap = (network(tmp_path, FIG5, name) for name in ("simcc_s32", "heatmap_s32"))
    x, y = torch.zeros(1, 1, 128), torch.zeros(1, 1, 128)
    x[..., 30], y[..., 100] = 9.0, 9.0
    point = [[[1.0, 1.0]]]
    found = map_of(sight(simcc, point, outputs={"simcc_x": x, "simcc_y": y}))[0, 0]
    assert found.sum() == pytest.approx(1) and divmod(int(found.argmax()), 128) == (100, 30)
    raw = torch.tensor([[[[3.0, -5.0], [1.0, 0.0]]]])
    assert map_of(sight(heatmap, point, outputs={"heatmap": raw})).tolist() == [[[[0.75, 0.0], [0.25, 0.0]]]]
    square = [replace(n, run=replace(n.run, image_size=(64, 64))) for n in (simcc, heatmap)]
    bins, cells = 1 / simcc.run.codec.split_ratio, heatmap.run.codec.stride
    assert [pitch(n) for n in square] == [(bins, bins), (cells, cells)]
    udp = replace(square[1], run=replace(square[1].run, codec=replace(heatmap.run.codec, udp=True)))
    assert pitch(udp) == (63 / (64 / cells - 1),) * 2
    with pytest.raises(SpecError, match="a regression has no map to draw"):
        map_of(sight(network(tmp_path, TABLE5, "regression"), point))


def test_oks_is_that_of_the_evaluator(data, tmp_path):
    """Which test_metrics.py compares with pycocotools; here of a person alone in the image."""
    person = next(p for p in data.val.persons if p.image_id == 2)
    found = look(network(tmp_path, FIG6, "simplebaseline"), [person], data)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (1, 17, 2))).float()
    found = replace(found, decoded=found.keypoints + noise)
    back = np.linalg.inv(np.vstack([view_matrix(plain_view(person, found.size), found.size, udp=False), [0, 0, 1]]))
    points = transform_points(back[:2], found.decoded[0].numpy().astype(np.float64))
    result = {"image_id": 2, "category_id": 1, "keypoints": np.c_[points, np.ones(17)].ravel().tolist(), "score": 1.0}
    theirs = closeness(read_truth(data.val.annotation_file, COCO17), [result], np.array(COCO17.sigmas), [2])["mean_OKS"]
    assert 0 < theirs < 1 and oks(found, [person], data).item() == pytest.approx(theirs, abs=1e-4)
    assert oks(replace(found, decoded=found.keypoints), [person], data).item() == pytest.approx(1)


@pytest.mark.parametrize("kind, experiment, rows", [
    ("tokens", TABLE5, ("ours", "k2")), ("attention", TABLE5, ("ours", "no_ica")),
    ("heatmaps", FIG5, ("heatmap_s4", "simcc_s32", "flatpose_s32")), ("poses", FIG6, ("flatpose_b", "simplebaseline"))])
def test_drawing_untrained_networks(kind, experiment, rows, data, tmp_path):
    networks = [network(tmp_path, experiment, row) for row in rows]
    png, persons = draw(kind, networks, data, 3)
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert len(png) < 1 << 20 and pixels.std() > 10 and len(persons) == 3
    assert draw(kind, networks, data, 3)[0] == png, "the same bytes again"


def test_what_cannot_be_drawn_says_so(data, tmp_path):
    baseline = network(tmp_path, FIG5, "heatmap_s32")
    with pytest.raises(SpecError, match="row heatmap_s32: its network has no salience to draw"):
        draw("tokens", [baseline], data, 2)
    other = replace(baseline, weights=network(tmp_path, TABLE5, "ours").weights)
    with pytest.raises(DataError, match="not the weights of row heatmap_s32"):
        draw("poses", [other], data, 2)
    with pytest.raises(DataError, match="no labelled person to show"):
        shown_persons(replace(data, val=replace(data.val, persons=[])), 2)
    assert spread(range(10), 4) == [0, 3, 6, 9] and spread([1, 2], 5) == [1, 2]


def save_run(runs: Path, planned: PlannedRun) -> None:
    """A finished run with untrained weights."""
    data_id, _ = identity(planned.run.data, None)
    record = fake_reports.record(planned.run, data=("embedded", data_id), results=[fake_reports.result(0.25)])
    fake_reports.store(runs, [record])
    module = build_model(planned.run.model, planned.run.codec, planned.run.image_size, 17, pretrained=False)
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, runs / record.run_id / "weights.safetensors")


def test_a_figure_from_run_folders_to_its_page(tmp_path):
    fig3, runs, reports = catalog.load("fig3"), tmp_path / "runs", tmp_path / "reports"
    plan = make_plan(fig3, fig3.profiles["smoke"], runs)
    with pytest.raises(DataError, match=r"no trained weights of ours seed 0, k2 seed 0(.|\n)*--row ours --row k2"):
        pictures.draw(plan, runs, None, SILENT)
    load(plan.runs[0].run.data, None)
    for planned in plan.runs:
        save_run(runs, planned)
    path = pictures.draw(plan, runs, None, SILENT)
    drawing = parse(pictures.Drawing, path.with_suffix(".json"))
    assert drawing.matches(path) and [(n.row, n.value) for n in drawing.networks] == [("ours", 25.0), ("k2", 25.0)]
    assert str(tmp_path) not in path.with_suffix(".json").read_text()
    assert list(pictures.files(fig3, reports, runs)) == ["fig3.md"], "a smoke picture is not published"

    default = drawing.model_copy(update={"profile": fig3.default_profile})
    write_json(path.with_suffix(".json"), default.model_dump(mode="json"))
    made = pictures.files(fig3, reports, runs)
    assert set(made) == {"fig3.md", "fig3.png", "data/fig3.json"} and made["fig3.png"] == path.read_bytes()
    assert "(fig3.png)" in made["fig3.md"].decode() and "FlatPose-B, K = 2 AP 25.0" in made["fig3.md"].decode()
    for name, content in made.items():
        write_bytes(reports / name, content)
    assert pictures.files(fig3, reports, tmp_path / "none") == made, "a clone without runs renders the same"
    (reports / "fig3.png").write_bytes(b"another picture")
    with pytest.raises(DataError, match="not the picture that its facts were made with"):
        pictures.files(fig3, reports, tmp_path / "none")
    write_json(reports / "data" / "fig3.json", {**default.model_dump(mode="json"), "images": "many"})
    with pytest.raises(DataError, match="damaged: images"):
        pictures.files(fig3, reports, tmp_path / "none")
    other = replace(plan.runs[1], run=replace(plan.runs[1].run, data=replace(plan.runs[1].run.data, task="mpii")))
    with pytest.raises(SpecError, match="its rows ask for several"):
        pictures.draw(replace(plan, runs=(plan.runs[0], other)), runs, None, SILENT)
