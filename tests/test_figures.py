"""Figs. 3 to 6: measurements by hand on made-up answers, and pictures of tiny untrained networks."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny import write_coco

from experiments.fig5 import EXPERIMENT as FIG5
from experiments.fig6 import EXPERIMENT as FIG6
from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.data import load_coco
from flatpose.errors import DataError, SpecError
from flatpose.figures import Network, attention, draw, heatmaps, poses, tokens
from flatpose.figures.sight import Sight, look, shown_persons, spread
from flatpose.harness.spec import Experiment, at_profile
from flatpose.models import build_model

SQUARE = (64, 64)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_coco(write_coco(tmp_path_factory.mktemp("coco"), images={"train": 1, "val": 5}))


def network(folder: Path, experiment: Experiment, row: str, seed: int = 0) -> Network:
    """The row's network at the smoke profile, untrained."""
    found = next(r for r in experiment.rows if r.id == row)
    run = at_profile(found.run, experiment.profiles["smoke"])
    torch.manual_seed(seed)
    module = build_model(run.model, run.codec, run.image_size, 17, pretrained=False)
    path = folder / f"{experiment.id}_{row}_{seed}.safetensors"
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, path)
    return Network(row, found.label, run, seed, path)


def sight(keypoints: list[list[list[float]]], size: tuple[int, int] = SQUARE, **given: object) -> Sight:
    """Persons with these keypoints, all labelled."""
    points = torch.tensor(keypoints)
    base = Sight(np.zeros((len(points), size[1], size[0], 3), np.uint8), points, torch.ones(points.shape[:2]).bool(),
                 points, {}, {})
    return replace(base, **given)


def test_the_tokens_that_hold_a_keypoint():
    found = sight([[[5.0, 5.0], [40.0, 5.0]], [[5.0, 40.0], [-3.0, 5.0]], [[70.0, 5.0], [31.9, 63.9]]])
    assert found.occupied().tolist() == [[True, True, False, False], [False, False, True, False],
                                         [False, False, True, False]]
    hidden = replace(found, labelled=torch.tensor([[True, False]] * 3))
    assert hidden.occupied()[0].tolist() == [True, False, False, False] and not hidden.occupied()[2].any()


def test_the_outermost_keypoint_is_labelled_and_inside():
    found = sight([[[10.0, 10.0], [12.0, 10.0], [60.0, 60.0]], [[10.0, 10.0], [12.0, 10.0], [90.0, 60.0]]])
    assert found.extremity().tolist() == [2, 0]
    assert replace(found, labelled=torch.zeros(2, 3).bool()).extremity().tolist() == [0, 0]


def test_salience_by_hand(tmp_path):
    """Two persons, two of four tokens selected: one of four selected tokens is occupied, and both selections differ."""
    found = sight([[[5.0, 5.0]], [[5.0, 5.0]]], explained={
        "salience": torch.tensor([[[0.0, -9.0, 0.0, -9.0], [-9.0, 0.0, 0.0, -9.0]]]),
        "selected": torch.tensor([[[0, 2], [2, 1]]])})
    gated = network(tmp_path, TABLE5, "ours")
    [line] = tokens.measure(gated, found)
    assert line.values == {"hit": 25.0, "chance": 25.0, "same": 50.0, "different": 2.0, "gate": 50.0}
    assert line.part == "iteration 1, 2 of 4 tokens"
    literal = replace(gated, run=replace(gated.run, model=replace(gated.run.model, salience="none")))
    assert tokens.measure(literal, found)[0].values["gate"] is None


def test_attention_by_hand(tmp_path):
    """Uniform content, a bias that doubles the first of four tokens: 1/4 becomes 2/5, so 15 % of attention moves."""
    bias = torch.zeros(2, 1, 4, 4)
    bias[..., 0] = np.log(2.0)
    found = sight([[[5.0, 5.0]], [[5.0, 5.0]]], explained={
        "attention": bias.softmax(-1)[None], "attn_bias": bias[None]})
    values = attention.measure(network(tmp_path, TABLE5, "ours"), found)[0].values
    assert values["moved"] == pytest.approx(15) and values["focus"] == pytest.approx(40) and values["chance"] == 25
    assert values["content"] == pytest.approx(0, abs=1e-6)
    assert values["bias"] == pytest.approx(np.log(2) * np.sqrt(3) / 4)
    p = np.array([0.4, 0.2, 0.2, 0.2])
    assert values["effective"] == pytest.approx(np.exp(-(p * np.log(p)).sum())) and values["adaptive"] == 0
    del found.explained["attn_bias"]
    assert attention.measure(network(tmp_path, TABLE5, "no_ica"), found)[0].values["moved"] is None


def test_variance_between_persons():
    same = torch.rand(1, 2, 3, 3).expand(5, 2, 3, 3)
    assert attention.between_persons(same) == pytest.approx(0, abs=1e-12)
    opposite = torch.stack([same[0], -same[0]])
    assert attention.between_persons(opposite) == pytest.approx(1)
    assert attention.between_persons(torch.ones(4, 1, 3, 3)) == 0


def test_map_of_simcc_peaks_where_it_is_decoded_and_heatmaps_are_clipped(tmp_path):
    simcc, heatmap = (network(tmp_path, FIG5, name) for name in ("simcc_s32", "heatmap_s32"))
    x, y = torch.zeros(1, 1, 128), torch.zeros(1, 1, 128)
    x[..., 30], y[..., 100] = 9.0, 9.0
    found = heatmaps.map_of({"simcc_x": x, "simcc_y": y}, simcc, slice(None))[0, 0]
    assert found.sum() == pytest.approx(1) and divmod(int(found.argmax()), 128) == (100, 30)
    assert heatmaps.pitch(simcc) == (0.5, 0.5) and heatmaps.pitch(heatmap) == (32, 32)
    raw = torch.tensor([[[[3.0, -5.0], [1.0, 0.0]]]])
    assert heatmaps.map_of({"heatmap": raw}, heatmap, slice(None)).tolist() == [[[[0.75, 0.0], [0.25, 0.0]]]]
    udp = replace(heatmap, run=replace(heatmap.run, codec=replace(heatmap.run.codec, udp=True)))
    assert heatmaps.pitch(udp) == (63, 63)
    with pytest.raises(SpecError, match="a regression has no map to draw"):
        heatmaps.map_of({}, network(tmp_path, TABLE5, "regression"), slice(None))


def test_sharpness_and_mass_by_hand():
    maps = torch.tensor([[[[0.4, 0.2], [0.3, 0.1]]]])
    assert heatmaps.half_peak(maps).item() == 0.75
    point = torch.tensor([[[0.0, 0.0]]])
    assert heatmaps.mass_near(maps, point, (10.0, 20.0), 9.9).item() == pytest.approx(0.4)
    assert heatmaps.mass_near(maps, point, (10.0, 20.0), 10.0).item() == pytest.approx(0.6)
    assert heatmaps.mass_near(maps, point, (10.0, 20.0), 20.0).item() == pytest.approx(0.9)


def test_a_perfect_heatmap_by_hand(tmp_path):
    """Cells of 32 pixels, truth in a cell's centre: all mass near it; the next person's truth is half a cell away."""
    heatmap = network(tmp_path, FIG5, "heatmap_s32")
    one_hot = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]]).expand(2, 1, 2, 2)
    found = sight([[[32.0, 0.0]], [[48.0, 0.0]]], decoded=torch.tensor([[[32.0, 0.0]], [[32.0, 0.0]]]),
                  outputs={"heatmap": one_hot})
    values = heatmaps.measure(heatmap, found).values
    assert values == {"error": 0.0, "near": 50.0, "mass": 50.0, "area": 25.0, "target": 100.0}
    outside = replace(found, keypoints=torch.tensor([[[32.0, 0.0]], [[64.0, 0.0]]]))
    assert heatmaps.measure(heatmap, outside).values["mass"] == 100


def test_the_area_of_the_target_is_that_of_its_gaussian(tmp_path):
    """Above half its height is what lies within sigma * sqrt(2 ln 2): 6 bins of half a pixel, and 2 cells of 4."""
    found = sight([[[32.0, 32.0]]], outputs={"simcc_x": torch.zeros(1, 1, 128), "simcc_y": torch.zeros(1, 1, 128),
                                             "heatmap": torch.ones(1, 1, 16, 16)})
    simcc, heatmap = (heatmaps.measure(network(tmp_path, FIG5, name), found) for name in ("simcc_s4", "heatmap_s4"))
    disc = sum(x * x + y * y <= 2 * np.log(2) * 36 for x in range(-9, 10) for y in range(-9, 10))
    cells = sum(x * x + y * y <= 2 * np.log(2) * 4 for x in range(-9, 10) for y in range(-9, 10))
    assert simcc.values["target"] == pytest.approx(100 * disc / 128**2)
    assert heatmap.values["target"] == pytest.approx(100 * cells / 16**2) and heatmap.values["area"] == 100


def test_oks_is_that_of_the_evaluator(data, tmp_path):
    """Against pycocotools on the same predictions, one person at a time."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from flatpose.data.transforms import plain_view, view_matrix
    from flatpose.geometry import transform_points

    person = data.val.persons[0]
    found = look(network(tmp_path, FIG6, "simplebaseline"), [person], data)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (1, 17, 2))).float()
    found = replace(found, decoded=found.keypoints + noise)
    mat = view_matrix(plain_view(person, found.size), found.size, udp=False)
    back = np.vstack([mat, [0, 0, 1]])
    points = transform_points(np.linalg.inv(back)[:2], found.decoded[0].numpy().astype(np.float64))
    truth = COCO(str(data.val.annotation_file))
    flat = np.c_[points, np.ones(17)].ravel().tolist()
    results = truth.loadRes([{"image_id": person.image_id, "category_id": 1, "keypoints": flat, "score": 1.0}])
    evaluation = COCOeval(truth, results, "keypoints")
    evaluation.params.imgIds = [person.image_id]
    evaluation.evaluate()
    expected = evaluation.ious[person.image_id, 1]
    assert np.isclose(expected, poses.oks(found, [person], data).item(), atol=1e-4).any()
    assert poses.oks(replace(found, decoded=found.keypoints), [person], data).item() == pytest.approx(1)


@pytest.mark.parametrize("kind, experiment, rows", [
    ("tokens", TABLE5, ("ours", "k2")), ("attention", TABLE5, ("ours", "no_ica")),
    ("heatmaps", FIG5, ("heatmap_s4", "simcc_s32", "flatpose_s32")), ("poses", FIG6, ("flatpose_b", "simplebaseline"))])
def test_drawing_untrained_networks(kind, experiment, rows, data, tmp_path):
    networks = [network(tmp_path, experiment, row, seed) for seed in (0, 1) for row in rows]
    made = draw(kind, networks, data, 3)
    pixels = np.asarray(Image.open(io.BytesIO(made.png)).convert("RGB"))
    assert len(made.png) < 1 << 20 and pixels.std() > 10 and len(made.persons) == 3
    assert {(line.row, line.seed) for line in made.lines} == {(n.row, n.seed) for n in networks}
    assert all(set(line.values) == {m.key for m in made.measures} for line in made.lines)
    assert all(0 <= v <= 100 for line in made.lines for m in made.measures if m.unit == "%"
               for v in [line.values[m.key]] if v is not None)
    assert draw(kind, networks, data, 3) == made, "the same bytes and numbers again"


def test_what_cannot_be_drawn_says_so(data, tmp_path):
    baseline = network(tmp_path, FIG5, "heatmap_s32")
    with pytest.raises(SpecError, match="row heatmap_s32: its network has no selected to draw"):
        draw("tokens", [baseline], data, 2)
    other = replace(baseline, weights=network(tmp_path, TABLE5, "ours").weights)
    with pytest.raises(DataError, match="not the weights of row heatmap_s32"):
        draw("poses", [other], data, 2)
    nobody = replace(data, val=replace(data.val, persons=[]))
    with pytest.raises(DataError, match="no labelled person to show"):
        shown_persons(nobody, 2)


def test_evenly_spread():
    assert spread(range(10), 4) == [0, 3, 6, 9] and spread([1, 2], 5) == [1, 2]
