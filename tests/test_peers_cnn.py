"""The convolutional peer systems: the official function, name by name; their counts; that they train."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from experiments import systems_cnn as systems
from flatpose import benchmarks
from flatpose.checkpoints import convert
from flatpose.codecs import build_codec
from flatpose.complexity import ShapesOnly, measure
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
from flatpose.config.run import from_dict, to_dict
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.models.hrnet import HRNetTrunk

HEATMAP, SIMCC, SAR = HeatmapCodecConfig(), SimCCCodecConfig(), SARCodecConfig()
FULL = HeatmapCodecConfig(stride=1, sigma=8.0)

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


def _marked(rows, identify, is_big):
    """The rows as parameters; the big networks, whose families have a smaller member too, are slow."""
    return [pytest.param(*row, id=identify(*row), marks=[pytest.mark.slow] if is_big(*row) else []) for row in rows]


BIG = ("hrnet_w48", "resnet152", "cspnext_l")


@pytest.mark.parametrize(("name", "config", "codec"), _marked(
    PACKS, lambda name, *_: name, lambda name, config, _: config.backbone in BIG or name.startswith("mmpose")))
def test_equal_to_official_code(compare, name, config, codec):
    pack = compare.load(name)
    height, width = pack["input_hw"]
    model = _empty(config, codec, (width, height)).eval()
    ours = convert(config, compare.weights(pack))
    assert len(ours) == len(pack["keys"])
    model.load_state_dict(ours)  # strict: nothing missing, nothing left over
    with torch.inference_mode():
        outputs = model(compare.input(pack))
        if "logit" in outputs:
            outputs |= _sar_answers(model, outputs, compare.input(pack), codec, (width, height))
    errors = compare.report(pack, outputs)
    assert set(errors) == {key for key in pack["arrays"] if not key.startswith("const:")}
    assert {eps for kind, eps in pack["norm_eps"] if kind == "BatchNorm2d"} == {
        m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}


def _empty(config, codec, image_size):
    with ShapesOnly():
        return build_model(config, codec, image_size, 17, pretrained=False)


def _sar_answers(model, outputs, images, codec_config, image_size):
    """What SAR's codec makes of the maps, with and without the mirrored image."""
    codec = build_codec(codec_config, image_size, 17)
    mirrored = codec.flip(model(images.flip(-1)), torch.as_tensor(COCO17.flip_index))
    plain, both = codec.decode(outputs), codec.decode(codec.average(outputs, mirrored))
    return {"decoded_xy": plain[0], "decoded_score": plain[1],
            "decoded_flip_xy": both[0], "decoded_flip_score": both[1]}


def test_a_wrong_weight_shows(compare):
    pack, config = compare.load("rtmpose_m_256x192"), RTMPoseConfig()
    model = _empty(config, SIMCC, (192, 256)).eval()
    state = convert(config, compare.weights(pack))
    state["gau.gamma"] = state["gau.gamma"].flip(0)
    model.load_state_dict(state)
    with torch.inference_mode():
        assert min(compare.errors(pack, model(compare.input(pack))).values()) > 1e-2


# run, parameters in millions, multiply-adds / 1e9, and the same by HRNet's tool (peers.md section 1, measured)
COUNTS = [
    (systems.simplebaseline(50), 34.00, 5.45, 8.99),
    (systems.simplebaseline(152), 68.64, 12.75, 15.76),
    (systems.simplebaseline(152, systems.HIGH), 68.64, 28.68, 35.47),
    (systems.hrnet(32), 28.54, 7.69, 7.12),
    (systems.hrnet(48), 63.60, 15.75, 14.61),
    (systems.hrnet(48, systems.HIGH), 63.60, 35.43, 32.88),
    (systems.simcc(), 66.35, 15.79, 14.61),
    (systems.simcc(systems.HIGH), 70.56, 35.55, 32.88),
    (systems.rtmpose("m"), 13.59, 1.93, 1.78),
    (systems.rtmpose("l"), 27.66, 4.16, 3.85),
    (systems.rtmpose("m", systems.HIGH), 13.72, 4.33, None),
    (systems.rtmpose("l", systems.HIGH), 27.79, 9.34, None),
    (systems.sar("resnet50"), 34.01, 12.35, 20.31),
    (systems.sar("hrnet_w48"), 63.60, 35.45, 32.90),
    (systems.srpose("resnet50"), 24.80, 4.60, 4.20),
    (systems.srpose("hrnet_w32"), 29.95, 8.26, 7.59),
]


@pytest.mark.parametrize(("run", "params_m", "gflops", "hrnet_tool"), _marked(
    COUNTS, lambda run, *_: f"{run.model.kind}-{run.model.backbone}-{run.image_size[1]}",
    lambda run, *_: run.model.backbone in BIG or run.image_size == systems.HIGH))
def test_counts(run, params_m, gflops, hrnet_tool):
    cost = measure(_empty(run.model, run.codec, run.image_size), run.image_size)
    assert cost.params_m == pytest.approx(params_m, rel=0.001)
    assert cost.gflops == pytest.approx(gflops, rel=0.01)
    assert cost.gflops_torch == pytest.approx(cost.gflops, rel=0.01)  # two counters that share no code
    assert hrnet_tool is None or cost.gflops_hrnet_tool == pytest.approx(hrnet_tool, rel=0.01)


RECIPES = [recipe(*arguments, **{"task": task} if task else {}) for recipe, arguments, task in [
    (systems.simplebaseline, (152, systems.HIGH), "coco"), (systems.simplebaseline, (50, systems.SQUARE), "mpii"),
    (systems.hrnet, (32,), "crowdpose"), (systems.hrnet, (32, systems.SQUARE), "mpii"),
    (systems.simcc, (systems.SQUARE,), "mpii"), (systems.simcc_upsample_free, (), None),
    (systems.sar, ("hrnet_w48", systems.LOW), "crowdpose"), (systems.srpose, (), "crowdpose"),
    (systems.rtmpose, ("m", systems.SQUARE), "mpii"), (systems.rtmpose, ("l", systems.HIGH), "coco")]]


@pytest.mark.parametrize("run", RECIPES, ids=lambda r: f"{r.model.kind}-{r.data.task}")
def test_recipes_fit_together(run):
    """Model, codec and loss of each recipe agree at its own size, and the recipe survives JSON."""
    keypoints = benchmarks.get(run.data.task).keypoints()
    with ShapesOnly():
        build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    build_loss(run.loss, run.codec, keypoints)
    build_codec(run.codec, run.image_size, len(keypoints))
    assert from_dict(to_dict(run)) == run


def test_rtmpose_label_widths():
    assert systems.rtmpose("m").codec.sigma == (4.9, 5.66)
    assert systems.rtmpose("m", systems.HIGH).codec.sigma == (6.0, 6.93)


def test_srpose_predicts_all_levels_only_while_training():
    model = build_model(SRPoseConfig(backbone="resnet_quick_os16", pretrained=False), FULL, (64, 96), 5)
    shapes = {name: tuple(value.shape[2:]) for name, value in model(torch.randn(2, 3, 96, 64)).items()}
    assert shapes == {"heatmap": (96, 64), "heatmap_coarse": (6, 4), "heatmap_level0": (48, 32),
                      "heatmap_level1": (24, 16), "heatmap_level2": (24, 16)}
    assert set(model.eval()(torch.randn(1, 3, 96, 64))) == {"heatmap"}


def test_hrnet_trunk_options():
    images = torch.randn(1, 3, 64, 64)
    trunk = HRNetTrunk("hrnet_quick", False, all_branches=True).eval()
    assert [tuple(m.shape[1:]) for m in trunk.branches(images)] == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)]
    three = HRNetTrunk("hrnet_quick", False, stages=3).eval()
    assert three(images).shape == (1, three.channels[0], 32, 32)
    assert not any(name.startswith(("net.stage4", "net.transition3")) for name in three.state_dict())


@pytest.mark.parametrize(("config", "codec"), [
    (HRNetConfig(), SIMCC), (HRNetConfig(), FULL), (SimCCConfig(), HEATMAP), (SARConfig(), HEATMAP),
    (SRPoseConfig(), HEATMAP), (RTMPoseConfig(), HEATMAP), (HRNetConfig(backbone="hrnet_w31"), HEATMAP),
    (HRNetConfig(backbone="hrnet_quick"), HEATMAP)])
def test_impossible_combinations_are_refused(config, codec):
    with pytest.raises(FlatPoseError):
        build_model(config, codec, (64, 64), 17, pretrained=True)
