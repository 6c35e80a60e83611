"""Codecs: encode then decode comes back, flips undo themselves, borders and unlabelled points behave as documented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from flatpose.codecs import build_codec
from flatpose.codecs.simcc import ideal_logits
from flatpose.config import HeatmapCodecConfig, RegressionCodecConfig, SARCodecConfig, SimCCCodecConfig
from flatpose.keypoints import COCO17

SIZE = (192, 256)
HEATMAPS = {
    "argmax": (HeatmapCodecConfig(decode="argmax"), 2.0),
    # The rounded target is symmetric about its cell: the quarter step finds no slope and can only stay there.
    "quarter": (HeatmapCodecConfig(), 2.0),
    "quarter_exact": (HeatmapCodecConfig(encode="exact"), 1.0),
    "dark": (HeatmapCodecConfig(encode="exact", decode="dark"), 0.3),
    "udp": (HeatmapCodecConfig(encode="exact", decode="dark", udp=True), 0.3),
    "dark_udp": (HeatmapCodecConfig(encode="exact", decode="dark_udp", udp=True), 0.3),
    "stride32": (HeatmapCodecConfig(stride=32, decode="argmax"), 16.0),
}
SIMCC = {
    "argmax": (SimCCCodecConfig(), 0.25),
    "peak": (SimCCCodecConfig(label="peak", centre="rounded", sigma=(4.9, 5.66), score="min_raw"), 0.25),
    "expectation": (SimCCCodecConfig(decode="expectation"), 0.02),
    "ratio 1.5": (SimCCCodecConfig(split_ratio=1.5), 1 / 3),
}


def points(margin: float = 20.0) -> torch.Tensor:
    """Seeded keypoints (8, 17, 2) at least ``margin`` pixels inside the crop."""
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(8, 17, 2, generator=generator, dtype=torch.float64)
    return margin + unit * (torch.tensor(SIZE) - 1 - 2 * margin)


def outputs_of(codec, targets):
    """What a perfect network would answer."""
    return ideal_logits(targets) if "simcc_x" in targets else targets


@pytest.mark.parametrize(("config", "tolerance"), [*HEATMAPS.values(), *SIMCC.values(),
                                                   (RegressionCodecConfig(), 1e-3), (SARCodecConfig(), 1e-3)], ids=str)
def test_round_trip_stays_below_half_a_bin(config, tolerance):
    codec = build_codec(config, SIZE, 17)
    keypoints = points()
    decoded, scores = codec.decode(outputs_of(codec, codec.encode(keypoints, torch.ones(8, 17))))
    assert (decoded - keypoints).abs().max() <= tolerance + 1e-4
    assert scores.shape == (8, 17)


@pytest.mark.parametrize("config", [HeatmapCodecConfig(), HeatmapCodecConfig(encode="exact", decode="dark", udp=True),
                                    SimCCCodecConfig(flip_shift=1), RegressionCodecConfig()], ids=lambda c: c.kind)
def test_flipped_prediction_of_the_mirrored_person_is_the_original(config):
    codec = build_codec(config, SIZE, 17)
    index = torch.as_tensor(COCO17.flip_index)
    # Whole cells in the plain geometry: there the shift by one cell is exact only up to (stride - 1) / stride cells.
    keypoints = (points() / 4).round() * 4
    mirrored = keypoints.clone()
    mirrored[..., 0] = SIZE[0] - 1 - mirrored[..., 0]
    weights = torch.ones(8, 17)
    there = codec.decode(outputs_of(codec, codec.encode(keypoints, weights)))[0]
    back = codec.decode(codec.flip(outputs_of(codec, codec.encode(mirrored[:, index], weights)), index))[0]
    assert (there - back).abs().max() <= (4.0 if config.kind == "heatmap" and not config.udp else 0.51)


def test_simcc_flip_needs_the_shift_of_split_ratio_minus_one():
    codec = build_codec(SimCCCodecConfig(flip_shift=1), SIZE, 17)
    index = torch.as_tensor(COCO17.flip_index)
    keypoints = points().round()
    mirrored = keypoints.clone()
    mirrored[..., 0] = SIZE[0] - 1 - mirrored[..., 0]
    back = codec.flip(codec.encode(mirrored[:, index], torch.ones(8, 17)), index)
    there = codec.encode(keypoints, torch.ones(8, 17))
    torch.testing.assert_close(back["simcc_x"][..., :-1], there["simcc_x"][..., :-1])


@pytest.mark.parametrize("config", [HeatmapCodecConfig(), SimCCCodecConfig(), RegressionCodecConfig()], ids=str)
def test_flipping_twice_is_identity_without_shift(config):
    codec = build_codec(config, SIZE, 17)
    if config.kind == "heatmap":
        codec = build_codec(HeatmapCodecConfig(flip_shift=False), SIZE, 17)
    index = torch.as_tensor(COCO17.flip_index)
    targets = codec.encode(points(), torch.ones(8, 17))
    twice = codec.flip(codec.flip(targets, index), index)
    for name, value in twice.items():
        torch.testing.assert_close(value, targets[name])


@pytest.mark.parametrize("config", [HeatmapCodecConfig(), SimCCCodecConfig()], ids=str)
def test_keypoints_outside_the_crop_get_no_weight(config):
    codec = build_codec(config, SIZE, 2)
    # A heatmap keeps the tail of a Gaussian whose centre is outside by up to three sigma, 24 pixels here.
    keypoints = torch.tensor([[[-29.0, 50.0], [50.0, 50.0]]])
    assert codec.encode(keypoints, torch.ones(1, 2))["weights"].tolist() == [[0.0, 1.0]]


def test_unlabelled_keypoints_keep_weight_zero():
    codec = build_codec(HeatmapCodecConfig(), SIZE, 2)
    assert codec.encode(torch.full((1, 2, 2), 50.0), torch.tensor([[0.0, 1.0]]))["weights"].tolist() == [[0.0, 1.0]]


OUTSIDE = {
    # How far left of the crop a keypoint is still learned: three sigma of a Gaussian whose tail is inside (24 pixels
    # at stride 4, counted from the nearest cell; 36 for SAR's patch), not at all, or half the larger side.
    "heatmap": (HeatmapCodecConfig(), 25.9, 26.1), "heatmap, stride 32": (HeatmapCodecConfig(stride=32), 207.9, 208.1),
    "simcc": (SimCCCodecConfig(), 0.0, 0.1), "regression": (RegressionCodecConfig(), 128.0, 128.1),
    "sar": (SARCodecConfig(), 36.0, 36.1),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_how_far_outside_the_crop_a_keypoint_counts(name):
    config, last_in, first_out = OUTSIDE[name]
    keypoints = torch.tensor([[[-last_in, 50.0], [-first_out, 50.0], [50.0, 50.0], [50.0, 50.0]]])
    weights = build_codec(config, SIZE, 4).encode(keypoints, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))["weights"]
    assert weights.tolist() == [[1.0, 0.0, 1.0, 0.0]]  # and an invisible one never does


BORDER = {
    # Largest error anywhere in the crop, its border included. Plain cells stop at (cells - 1) * stride, so that the
    # last stride - 1 pixels are decoded to the last cell; UDP's cells span the crop; DARK needs two cells around it.
    "quarter": (HeatmapCodecConfig(), 3.0), "dark": (HeatmapCodecConfig(encode="exact", decode="dark"), 3.0),
    "udp": (HeatmapCodecConfig(encode="exact", decode="dark", udp=True), 255 / 63 / 2),
    "simcc": (SimCCCodecConfig(), 0.25), "expectation": (SimCCCodecConfig(decode="expectation"), 2.5),
    "regression": (RegressionCodecConfig(), 1e-3), "sar": (SARCodecConfig(), 1e-3),
}


@pytest.mark.parametrize("name", BORDER)
def test_error_up_to_the_border(name):
    config, bound = BORDER[name]
    codec = build_codec(config, SIZE, 17)
    unit = torch.rand(64, 17, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    keypoints = unit * (torch.tensor(SIZE) - 1)
    corners = torch.tensor([[0.0, 0.0], [191.0, 0.0], [0.0, 255.0], [191.0, 255.0]], dtype=torch.float64)
    keypoints[0, :4] = corners
    decoded, _ = codec.decode(outputs_of(codec, codec.encode(keypoints, torch.ones(64, 17))))
    assert 0.2 * bound < (decoded - keypoints).abs().max() <= bound + 1e-3 or bound < 0.01


def test_border_peaks_decode_to_the_border_cell():
    codec = build_codec(HeatmapCodecConfig(), SIZE, 2)
    corners = torch.tensor([[[0.0, 0.0], [188.0, 252.0]]])
    decoded, _ = codec.decode(codec.encode(corners, torch.ones(1, 2)))
    torch.testing.assert_close(decoded, corners)


def test_a_flat_map_decodes_to_finite_numbers():
    codec = build_codec(HeatmapCodecConfig(decode="dark"), SIZE, 2)
    decoded, scores = codec.decode({"heatmap": torch.zeros(1, 2, 64, 48)})
    assert torch.isfinite(decoded).all() and (scores == 0).all()


def test_quarter_step_goes_towards_the_higher_neighbour():
    codec = build_codec(HeatmapCodecConfig(), SIZE, 1)
    heatmap = torch.zeros(1, 1, 64, 48)
    heatmap[0, 0, 10, 20], heatmap[0, 0, 10, 21], heatmap[0, 0, 9, 20] = 1.0, 0.5, 0.5
    decoded, score = codec.decode({"heatmap": heatmap})
    assert decoded.tolist() == [[[20.25 * 4, 9.75 * 4]]] and score.item() == 1.0


def wavy(height: int, width: int) -> torch.Tensor:
    """A map for every cell (1, height * width, height, width) with its peak there and uneven neighbours."""
    noise = 0.4 * torch.rand(height * width, height * width, generator=torch.Generator().manual_seed(2))
    return (noise + 0.6 * torch.eye(height * width)).view(1, -1, height, width)


@pytest.mark.parametrize("cells", [(4, 3), (8, 6), (16, 12)])
def test_quarter_step_is_the_one_of_hrnets_decoder_in_every_cell(cells):
    maps = wavy(*cells)
    codec = build_codec(HeatmapCodecConfig(stride=1), cells[::-1], maps.shape[1])
    decoded = codec.decode({"heatmap": maps})[0][0].numpy()
    for index, grid in enumerate(maps[0].numpy()):
        y, x = divmod(index, cells[1])
        expected = [float(x), float(y)]
        if 1 < x < cells[1] - 1 and 1 < y < cells[0] - 1:  # HRNet's condition, which spares the second cell as well
            expected[0] += 0.25 * np.sign(grid[y, x + 1] - grid[y, x - 1])
            expected[1] += 0.25 * np.sign(grid[y + 1, x] - grid[y - 1, x])
        assert decoded[index].tolist() == expected, (x, y)


def udp_reference(grid: np.ndarray, x: int, y: int, kernel: int = 11) -> np.ndarray:
    """UDP's decoder for one map, by OpenCV and numpy."""
    padded = cv2.GaussianBlur(np.pad(grid, kernel // 2), (kernel, kernel), 0)
    blurred = padded[kernel // 2:-(kernel // 2), kernel // 2:-(kernel // 2)]
    around = np.pad(np.log(np.clip(blurred * grid.max() / blurred.max(), 1e-3, 50)), 1, mode="edge")[y:y + 3, x:x + 3]
    slope = np.array([around[1, 2] - around[1, 0], around[2, 1] - around[0, 1]]) / 2
    mixed = (around[2, 2] - around[1, 2] - around[2, 1] + 2 * around[1, 1] - around[1, 0] - around[0, 1]
             + around[0, 0]) / 2
    curvature = np.array([[around[1, 2] - 2 * around[1, 1] + around[1, 0], mixed],
                          [mixed, around[2, 1] - 2 * around[1, 1] + around[0, 1]]])
    return np.array([x, y]) - np.linalg.solve(curvature + np.finfo(np.float32).eps * np.eye(2), slope)


def test_udps_own_step_equals_its_decoder_up_to_the_border():
    codec = build_codec(HeatmapCodecConfig(encode="exact", decode="dark_udp", udp=True), SIZE, 17)
    unit = torch.rand(4, 17, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    keypoints = unit * (torch.tensor(SIZE) - 1)
    keypoints[0, :2] = torch.tensor([[0.0, 255.0], [191.0, 3.0]])
    maps = codec.encode(keypoints, torch.ones(4, 17))["heatmap"]
    decoded = codec.decode({"heatmap": maps})[0].reshape(-1, 2).numpy()
    for grid, point in zip(maps.flatten(0, 1).float().numpy(), decoded, strict=True):
        y, x = np.unravel_index(grid.argmax(), grid.shape)
        expected = udp_reference(grid.astype(np.float64), int(x), int(y)) * [191 / 47, 255 / 63]
        assert np.abs(point - expected).max() < 2e-2


def test_simcc_scores_follow_their_rule():
    logits = {"simcc_x": torch.tensor([[[0.0, 2.0]]]), "simcc_y": torch.tensor([[[0.0, 1.0, 0.0]]])}
    score = {rule: build_codec(SimCCCodecConfig(split_ratio=1.0, score=rule), (2, 3), 1).decode(logits)[1].item()
             for rule in ("min_softmax", "mean_softmax", "min_raw")}
    x, y = torch.softmax(logits["simcc_x"], -1).max().item(), torch.softmax(logits["simcc_y"], -1).max().item()
    assert score == pytest.approx({"min_softmax": min(x, y), "mean_softmax": (x + y) / 2, "min_raw": 1.0})
