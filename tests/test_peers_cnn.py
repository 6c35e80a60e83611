"""The convolutional peer systems: the official function, name by name; their counts; that they train."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
import torch

from flatpose.checkpoints import convert
from flatpose.config import (
    BaselineConfig,
    HeatmapCodecConfig,
    HRNetConfig,
    RTMPoseConfig,
    SARCodecConfig,
    SARConfig,
    SimCCCodecConfig,
    SimCCConfig,
    SRPoseConfig,
)
from flatpose.models import build_model

HEATMAP, SIMCC, SAR = HeatmapCodecConfig(), SimCCCodecConfig(), SARCodecConfig()
FULL = HeatmapCodecConfig(stride=1, sigma=8.0)
SLOW = pytest.mark.slow

PACKS = [
    ("simplebaseline_r50_256x192", BaselineConfig(), HEATMAP),
    ("mmpose_td-hm_res50_256x192", BaselineConfig(), HEATMAP),
    ("simplebaseline_r152_256x192", BaselineConfig(backbone="resnet152"), HEATMAP),
    ("simcc_r50_256x192", BaselineConfig(head="simcc"), SIMCC),
    ("mmpose_simcc_res50_256x192", BaselineConfig(head="simcc"), SIMCC),
    ("simcc_r50_upfree_256x192", SimCCConfig(backbone="resnet50", maps_per_keypoint=28), SIMCC),
    ("simcc_hrnet_w48_256x192", SimCCConfig(), SIMCC),
    ("simcc_hrnet_w48_384x288", SimCCConfig(), SimCCCodecConfig(split_ratio=1.5)),
    ("hrnet_w32_256x192", HRNetConfig(), HEATMAP),
    ("mmpose_td-hm_hrnet-w32_256x192", HRNetConfig(), HEATMAP),
    ("hrnet_w48_256x192", HRNetConfig(backbone="hrnet_w48"), HEATMAP),
    ("sar_r50_384x288", SARConfig(backbone="resnet50"), SAR),
    ("sar_w48_384x288", SARConfig(), SAR),
    ("srpose_r50_256x192", SRPoseConfig(), FULL),
    ("srpose_hrnet_w32_256x192", SRPoseConfig(backbone="hrnet_w32"), FULL),
    ("rtmpose_m_256x192", RTMPoseConfig(), SIMCC),
    ("rtmpose_l_256x192", RTMPoseConfig(backbone="cspnext_l"), SIMCC),
]


@pytest.fixture(scope="module")
def compare(shared):
    """The comparison script of the parity packs."""
    folder = shared / "peers"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("compare", folder / "compare.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(folder))


@pytest.mark.parametrize(("name", "config", "codec"), PACKS, ids=[p[0] for p in PACKS])
def test_equal_to_official_code(compare, name, config, codec):
    pack = compare.load(name)
    height, width = pack["input_hw"]
    model = build_model(config, codec, (width, height), 17, pretrained=False).eval()
    model.load_state_dict(convert(config, compare.weights(pack)))
    with torch.inference_mode():
        outputs = model(compare.input(pack))
    print(name, json.dumps(compare.report(pack, outputs)))
