"""The ResNet baseline: published parameter counts, output sizes at every stride, refused combinations."""

from __future__ import annotations

import pytest
import torch

from flatpose.config import BaselineConfig, HeatmapCodecConfig, RegressionCodecConfig, SimCCCodecConfig
from flatpose.errors import SpecError
from flatpose.models import build_model


def build(codec, size=(192, 256), **fields):
    return build_model(BaselineConfig(pretrained=False, **fields), codec, size, 17)


def millions(model) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def test_parameters_are_those_of_simplebaseline_and_of_simcc():
    assert millions(build(HeatmapCodecConfig())) == pytest.approx(33.999697)
    assert millions(build(SimCCCodecConfig(), head="simcc")) == pytest.approx(36.753105)


@pytest.mark.parametrize(("num_deconvs", "stride"), [(3, 2), (2, 4), (1, 8), (0, 16)])
def test_each_stride_gives_its_map_and_always_the_same_bins(num_deconvs, stride):
    fields = {"backbone": "resnet_quick_os16", "deconv_dim": 16, "num_deconvs": num_deconvs}
    images = torch.zeros(2, 3, 128, 96)
    heatmap = build(HeatmapCodecConfig(stride=stride), (96, 128), **fields)(images)["heatmap"]
    assert heatmap.shape == (2, 17, 128 // stride, 96 // stride)
    simcc = build(SimCCCodecConfig(), (96, 128), head="simcc", **fields)(images)
    assert simcc["simcc_x"].shape == (2, 17, 192) and simcc["simcc_y"].shape == (2, 17, 256)
    coords = build(RegressionCodecConfig(), (96, 128), head="regression", **fields)(images)["coords"]
    assert coords.shape == (2, 17, 2)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(SpecError, match="stride 16 here, the codec says 4"):
        build(HeatmapCodecConfig(), num_deconvs=1, backbone="resnet_quick")
    with pytest.raises(SpecError, match="did you mean 'resnet50'"):
        build(HeatmapCodecConfig(), backbone="resnet5O")
