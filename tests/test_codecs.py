"""Codecs: encoding then decoding returns the keypoint, mirrored answers come back, borders follow each system."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from flatpose.codecs import build_codec
from flatpose.config import HeatmapCodecConfig, RegressionCodecConfig, SARCodecConfig, SimCCCodecConfig
from flatpose.errors import SpecError
from flatpose.keypoints import COCO17

SIZE = (192, 256)
INDEX = torch.as_tensor(COCO17.flip_index)
EXACT = HeatmapCodecConfig(encode="exact", decode="dark")
UDP = HeatmapCodecConfig(encode="exact", decode="dark", udp=True)
ROUND_TRIPS = {  # codec -> largest error in pixels, well inside the crop
    "argmax": (HeatmapCodecConfig(decode="argmax"), 2.0),
    # The rounded target is symmetric about its cell: the quarter step finds no slope and stays.
    "quarter": (HeatmapCodecConfig(), 2.0), "quarter, exact": (HeatmapCodecConfig(encode="exact"), 1.0),
    "dark": (EXACT, 0.3), "udp": (UDP, 0.3),
    "dark_udp": (HeatmapCodecConfig(encode="exact", decode="dark_udp", udp=True), 0.3),
    "soft-argmax": (HeatmapCodecConfig(encode="exact", decode="expectation"), 0.25),
    "soft-argmax, enlarged": (HeatmapCodecConfig(encode="exact", decode="expectation", upsample=4), 0.1),
    "enlarged": (HeatmapCodecConfig(encode="exact", decode="argmax", upsample=4), 1.5),
    "enlarged, udp": (HeatmapCodecConfig(encode="exact", decode="dark", upsample=2, udp=True), 0.3),
    "stride 32": (HeatmapCodecConfig(stride=32, decode="argmax"), 16.0),
    "simcc": (SimCCCodecConfig(), 0.25), "simcc, expectation": (SimCCCodecConfig(decode="expectation"), 0.02),
    "simcc, peak": (SimCCCodecConfig(label="peak", centre="rounded", sigma=(4.9, 5.66), score="min_raw"), 0.25),
    "simcc, 1.5": (SimCCCodecConfig(split_ratio=1.5), 1 / 3),
    "simcc, one bin per cell": (SimCCCodecConfig(split_ratio=1 / 16, sigma=0.5), 8.0),
    "simcc, one bin, expected": (SimCCCodecConfig(split_ratio=1 / 16, sigma=0.5, decode="expectation"), 1.5),
    "regression": (RegressionCodecConfig(), 1e-3), "sar": (SARCodecConfig(), 1e-3),
}
# Largest error anywhere in the crop, its border included. Plain cells stop at (cells - 1) * stride, so that the last
# stride - 1 pixels are decoded to the last cell; UDP's cells span the crop; DARK needs two cells around it.
BORDER = {"quarter": 3.0, "dark": 3.0, "udp": 255 / 63 / 2, "simcc": 0.25, "simcc, expectation": 2.5,
          "regression": 1e-3, "sar": 1e-3}


def points(margin: float = 20.0, seed: int = 0) -> torch.Tensor:
    """Seeded keypoints (8, 17, 2) at least ``margin`` pixels inside the crop."""
    unit = torch.rand(8, 17, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return margin + unit * (torch.tensor(SIZE) - 1 - 2 * margin)


def mirrored(keypoints: torch.Tensor) -> torch.Tensor:
    """The same persons in the mirrored crop."""
    x, y = keypoints[:, INDEX].unbind(-1)
    return torch.stack([SIZE[0] - 1 - x, y], dim=-1)


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trip_error_is_the_resolution(name):
    config, tolerance = ROUND_TRIPS[name]
    codec, inside = build_codec(config, SIZE, 17), points()
    decoded, scores = codec.decode(codec.perfect(inside))
    assert (decoded - inside).abs().max() <= tolerance + 1e-4 and scores.shape == (8, 17)
    anywhere, bound = points(0.0), BORDER.get(name, math.inf)
    anywhere[0, :4] = torch.tensor([[0.0, 0.0], [191.0, 0.0], [0.0, 255.0], [191.0, 255.0]])
    assert (codec.decode(codec.perfect(anywhere))[0] - anywhere).abs().max() <= bound + 1e-3


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("stride", [4, 8, 32])
@pytest.mark.parametrize("encode, decode", [("rounded", "argmax"), ("rounded", "quarter"), ("exact", "quarter"),
                                            ("exact", "dark"), ("exact", "dark_udp")])
def test_round_trip_without_maps_equals_that_with_maps(stride, encode, decode, udp):
    config = HeatmapCodecConfig(stride=stride, encode=encode, decode=decode, udp=udp)
    if decode == "dark_udp" and not udp:
        with pytest.raises(SpecError, match="border"):
            build_codec(config, SIZE, 17)
        return
    codec, keypoints = build_codec(config, SIZE, 17), points(-10.0)
    with_maps, _ = codec.decode(codec.encode(keypoints, torch.ones(8, 17)))
    # UDP's step is unlimited: where its Hessian is nearly singular rounding errors are amplified.
    assert (codec.round_trip(keypoints) - with_maps).abs().max() <= {"dark": 1e-4, "dark_udp": 0.02}.get(decode, 0)


FLIPPED = [*(HeatmapCodecConfig(stride=s, encode=e, decode=d, udp=u) for s in (1, 4, 8, 16)
             for e, d in (("rounded", "quarter"), ("exact", "argmax"), ("exact", "dark"), ("exact", "expectation"))
             for u in (False, True)),
           *(SimCCCodecConfig(split_ratio=k, sigma=max(3 * k, 0.5), decode=d, udp=u) for d in ("argmax", "expectation")
             for k in (4, 3, 2, 1.5, 1, 1 / 4, 1 / 8, 1 / 16) for u in (False, True)),
           RegressionCodecConfig(), SARCodecConfig()]


@pytest.mark.parametrize("config", FLIPPED, ids=str)
def test_averaging_with_the_mirrored_answer_moves_nothing(config):
    codec = build_codec(config, SIZE, 17)
    pixels = {"heatmap": lambda: config.stride, "simcc": lambda: 1 / config.split_ratio}.get(config.kind, lambda: 1)()
    keypoints = points(max(3.0 * pixels, 20.0))[:2 if pixels == 1 else None]
    averaged = codec.average(codec.perfect(keypoints), codec.flip(codec.perfect(mirrored(keypoints)), INDEX))
    # Half a bin is the rounding of argmax, without the flip test as well. Both images' targets round on their own, so
    # that the quarter step can go away from the keypoint.
    limit = 0.77 if getattr(config, "encode", "") == "rounded" else 0.55
    assert (codec.decode(averaged)[0] - keypoints).abs().max() <= limit * pixels


@pytest.mark.parametrize("config", [SimCCCodecConfig(split_ratio=4, flip_shift=0), HeatmapCodecConfig(flip_shift=-1),
                                    SimCCCodecConfig(split_ratio=1 / 16, flip_shift=1)], ids=str)
def test_a_shift_that_moves_more_than_half_a_bin_is_refused(config):
    with pytest.raises(SpecError, match="has to move right by"):
        build_codec(config, SIZE, 17)


def patch_inside(x: float, radius: float, width: int) -> bool:
    """The test of HRNet's and mmpose's heatmaps and of SimCC's Gaussian labels, as their code writes it."""
    return int(x - radius) < width and int(x + radius + 1) >= 0


BORDERS = {  # whether a keypoint at x is learned
    "heatmap": (HeatmapCodecConfig(), lambda x: patch_inside(int(x / 4 + 0.5), 6, 48)),
    "heatmap, stride 32": (HeatmapCodecConfig(stride=32), lambda x: patch_inside(int(x / 32 + 0.5), 6, 6)),
    "simcc": (SimCCCodecConfig(), lambda x: patch_inside(x, 18, 192)),
    "simcc, mmpose": (SimCCCodecConfig(border="three_sigma_bins", centre="rounded", sigma=(4.9, 5.66)),
                      lambda x: round(2 * x) - 14.7 < 384 and round(2 * x) + 14.7 + 1 >= 0),
    "simcc, one-hot": (SimCCCodecConfig(border="crop"), lambda x: 0 <= x < 192),
    "regression": (RegressionCodecConfig(), lambda x: -128 <= x < 192 + 128),
    "sar": (SARCodecConfig(), lambda x: patch_inside(int(x / 4 + 0.5), 9, 48)),
}


@pytest.mark.parametrize("name", BORDERS)
def test_how_far_outside_the_crop_a_keypoint_is_learned(name):
    config, learned = BORDERS[name]
    x = torch.arange(-300, 500, 0.4, dtype=torch.float64)
    keypoints = torch.stack([x, torch.full_like(x, 50.0)], dim=-1)[None]
    weights = build_codec(config, SIZE, len(x)).encode(keypoints, torch.ones(1, len(x)))["weights"][0]
    assert weights.bool().tolist() == [learned(value) for value in x.tolist()]


def test_rounded_centres_truncate_towards_zero():
    codec = build_codec(HeatmapCodecConfig(), SIZE, 1)
    heatmap = codec.encode(torch.tensor([[[-4.0 * 0.7, 40.0]]]), torch.ones(1, 1))["heatmap"]
    assert heatmap[0, 0, 10, 0] == 1.0  # int(-0.7 + 0.5) is cell 0, not -1


@pytest.mark.parametrize("ratio", [2.0, 1 / 4])
def test_a_keypoint_far_outside_the_crop_decodes_to_the_border(ratio):
    codec = build_codec(SimCCCodecConfig(split_ratio=ratio, sigma=0.5), SIZE, 1)
    decoded = codec.round_trip(torch.tensor([[[400.0, -300.0]]], dtype=torch.float64))
    assert decoded.tolist() == [[[(codec.bins[0] - 1) / ratio, 0.0]]]


@pytest.mark.parametrize("config", [HeatmapCodecConfig(decode="expectation"), SimCCCodecConfig()], ids=str)
def test_the_expected_position_has_a_gradient(config):
    codec, target = build_codec(config, SIZE, 17), points(seed=1)
    outputs = {name: value.requires_grad_() for name, value in codec.perfect(points()).items()}
    (codec.expected_position(outputs) - target).abs().mean().backward()
    assert all(outputs[name].grad.abs().sum() > 0 for name in codec.averaged)


@pytest.mark.parametrize("cells", [(4, 3), (16, 12)])
def test_quarter_step_is_the_one_of_hrnets_decoder_in_every_cell(cells):
    """One map for every cell, with its peak there and uneven neighbours."""
    count = cells[0] * cells[1]
    noise = 0.4 * torch.rand(count, count, generator=torch.Generator().manual_seed(2))
    maps = (noise + 0.6 * torch.eye(count)).view(1, -1, *cells)
    decoded = build_codec(HeatmapCodecConfig(stride=1), cells[::-1], count).decode({"heatmap": maps})[0][0].numpy()
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
    keypoints = points(0.0, seed=3)[:4]
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
