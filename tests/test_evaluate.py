"""From network outputs to predictions: flip test with and without its shift, rescoring per codec, box sources."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from tiny import write_coco
from torch import nn

from flatpose.codecs import build_codec
from flatpose.config import (
    DataConfig,
    EvalConfig,
    HeatmapCodecConfig,
    RegressionCodecConfig,
    RunConfig,
    SARCodecConfig,
    SimCCCodecConfig,
)
from flatpose.data import load
from flatpose.evaluate import boxes, evaluate, main_metric
from flatpose.keypoints import COCO17
from flatpose.progress import SILENT

SIZE = (192, 256)
INDEX = torch.as_tensor(COCO17.flip_index)


class Perfect(nn.Module):
    """Answers with the exact targets of one person, and of the mirrored person when the image is mirrored."""

    def __init__(self, codec, keypoints: torch.Tensor) -> None:
        super().__init__()
        self.codec, self.keypoints = codec, keypoints

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        points = self.keypoints.clone()
        if images[0, 0, 0, 0] == 0:  # the mark in the upper left corner went to the right
            points[..., 0] = SIZE[0] - 1 - points[..., 0]
            points = points[:, INDEX]
        return self.codec.perfect(points)


@pytest.mark.parametrize("config, error", [
    # A cell is 4 pixels wide: mirrored about 95.5 its centre lands 1 pixel right of a cell's, or 3 left of the next.
    (HeatmapCodecConfig(encode="exact", decode="dark", flip_shift=1), 0.5),
    (HeatmapCodecConfig(encode="exact", decode="dark", flip_shift=0), -1.5),
    (HeatmapCodecConfig(encode="exact", decode="dark", udp=True), 0.0),
    (SimCCCodecConfig(decode="expectation", flip_shift=1), 0.0), (RegressionCodecConfig(), 0.0),
    (SARCodecConfig(), 0.0)], ids=str)
def test_the_flip_test_mirrors_the_image_and_shifts_as_the_codec_says(config, error):
    """The mean error in x of a perfect network (codecs alone: test_codecs.py)."""
    codec, generator = build_codec(config, SIZE, 17), torch.Generator().manual_seed(0)
    keypoints = 24 + torch.rand(1, 17, 2, generator=generator) * (torch.tensor(SIZE) - 48)
    image = torch.zeros(1, 3, SIZE[1], SIZE[0])
    image[..., 0, 0] = 1.0
    for flip_index, expected in ((INDEX, error), (None, 0.0)):
        found, _ = codec.predict(Perfect(codec, keypoints), image, flip_index)
        assert (found - keypoints)[..., 0].mean() == pytest.approx(expected, abs=0.1)


class Middle(nn.Module):
    """Sees every keypoint in the middle of its crop, and counts the crops it is shown."""

    crops = 0

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        Middle.crops += len(images)
        return {"coords": torch.full((len(images), 17, 2), 0.5)}


def test_both_box_sources_in_one_run(tmp_path):
    """Two results of one network, each naming its boxes, its flip test and its score rule."""
    data = load(DataConfig(source="disk"), write_coco(tmp_path))
    run = RunConfig(codec=RegressionCodecConfig(score_threshold=0.15), image_size=(48, 64),
                    eval=EvalConfig(box_sources=("gt", "det"), flip_test=False, nms_threshold=0.8, batch_size=2))
    codec = build_codec(run.codec, run.image_size, 17)
    Middle.crops = 0
    results = evaluate(run, data, codec, {"ema": Middle(), "raw": Middle()}, Accelerator(cpu=True), SILENT)
    det = "det:COCO_val2017_detections_AP_H_56_person.json"
    assert [(r["weights"], r["box_source"]) for r in results] == [("ema", "gt"), ("raw", "gt"), ("ema", det)]
    assert all(r["flip_test"] is False and "> 0.15, OKS-NMS 0.8" in r["score_rule"] for r in results)
    assert Middle.crops >= 2 * len(data.val.persons) + len(data.detections)
    assert boxes(data, "gt")[0] is data.val.persons and boxes(data, "det")[0] is data.detections


def test_the_judge_takes_the_boxes_that_are_there(tmp_path):
    """Without a detector's file the first usable box source, as the evaluation afterwards does."""
    data = replace(load(DataConfig(source="disk"), write_coco(tmp_path)), detections=[], detector_file=None)
    run = RunConfig(codec=RegressionCodecConfig(), image_size=(48, 64),
                    eval=EvalConfig(box_sources=("det", "gt"), flip_test=False))
    codec, accelerator = build_codec(run.codec, run.image_size, 17), Accelerator(cpu=True)
    Middle.crops = 0
    main_metric(Middle(), run=run, data=data, codec=codec, accelerator=accelerator, reporter=SILENT)
    assert Middle.crops >= len(data.val.persons) > 0
    caches = [loader.dataset.cache for loader in accelerator._dataloaders]
    assert caches and not any(cache.images for cache in caches), "accelerate keeps every loader"
