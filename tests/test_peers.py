"""The peer systems: the official function, name by name; their counts; that their recipes fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_peers_rows import PACKS, ROWS
from torch import nn

from experiments import systems_cnn as cnn
from experiments import systems_vit as vit
from experiments import table3, table4
from flatpose import benchmarks
from flatpose.checkpoints.fit import published
from flatpose.codecs import build_codec
from flatpose.complexity import ShapesOnly, measure
from flatpose.config import (
    HeatmapCodecConfig,
    HRNetConfig,
    RTMPoseConfig,
    RunConfig,
    SARConfig,
    SHaRPoseConfig,
    SimCCCodecConfig,
    SimCCConfig,
    SRPoseConfig,
    from_dict,
    to_dict,
)
from flatpose.errors import FlatPoseError
from flatpose.harness.spec import shrunk
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer

HEATMAP, SIMCC, FULL = HeatmapCodecConfig(), SimCCCodecConfig(), HeatmapCodecConfig(stride=1, sigma=8.0)
BIG = ("hrnet_w48", "resnet152", "cspnext_l", "vit_base_patch16_224.mae")


def _run(name: str) -> RunConfig:
    """The row of a pack; SHaRPose refines every person there."""
    run = ROWS[PACKS[name]].run
    return replace(run, model=replace(run.model, threshold=None)) if run.model.kind == "sharpose" else run


def _big(name: str) -> list[pytest.MarkDecorator]:
    """Big networks, and second packs of one network, are slow."""
    return [pytest.mark.slow] if _run(name).model.backbone in BIG or name.startswith("mmpose") else []


def _empty(run: RunConfig, num_keypoints: int = 17) -> nn.Module:
    with ShapesOnly():
        return build_model(run.model, run.codec, run.image_size, num_keypoints, pretrained=False)


@pytest.mark.parametrize("name", [pytest.param(name, marks=_big(name)) for name in PACKS])
def test_equal_to_official_code(compare, name):
    pack, run = compare.load(name), _run(name)
    assert list(run.image_size) == pack["input_hw"][::-1]
    model = _empty(run).eval()
    state = compare.weights(pack)
    assert any("surprise" in name for name in published(run.model, {**state, "surprise": torch.zeros(1)}).state)
    model.load_state_dict(published(run.model, state).state)  # strict: nothing missing, nothing left over
    with torch.inference_mode():
        outputs = model(compare.input(pack))
        if "logit" in outputs:
            outputs |= _sar_answers(model, outputs, compare.input(pack), run)
    expected = {key for key in pack["arrays"] if not key.startswith("const:")}
    assert set(compare.report(pack, outputs)) == expected  # everything that the pack holds was compared
    for norm in (nn.BatchNorm2d, nn.LayerNorm):
        theirs = {eps for kind, eps in pack["norm_eps"] if kind == norm.__name__}
        assert theirs == {m.eps for m in model.modules() if isinstance(m, norm)}


def _sar_answers(model, outputs, images, run):
    """What SAR's codec makes of the maps, with and without the mirrored image."""
    codec = build_codec(run.codec, run.image_size, 17)
    mirrored = codec.flip(model(images.flip(-1)), torch.as_tensor(COCO17.flip_index))
    plain, both = codec.decode(outputs), codec.decode(codec.average(outputs, mirrored))
    return {"decoded_xy": plain[0], "decoded_score": plain[1],
            "decoded_flip_xy": both[0], "decoded_flip_score": both[1]}


def test_a_wrong_weight_shows(compare):
    pack, run = compare.load("rtmpose_m_256x192"), _run("rtmpose_m_256x192")
    model = _empty(run).eval()
    state = published(run.model, compare.weights(pack)).state
    state["gau.gamma"] = state["gau.gamma"].flip(0)
    model.load_state_dict(state)
    with torch.inference_mode():
        assert min(compare.errors(pack, model(compare.input(pack))).values()) > 1e-2


# Run, parameters in millions, multiply-adds / 1e9, and the same by HRNet's tool (peers.md section 1, measured).
COUNTS = [
    (cnn.simplebaseline(50), 34.00, 5.45, 8.99), (cnn.hrnet(32), 28.54, 7.69, 7.12),
    (cnn.rtmpose("m"), 13.59, 1.93, 1.78), (cnn.sar("resnet50"), 34.01, 12.35, 20.31),
    (cnn.srpose("resnet50"), 24.80, 4.60, 4.20), (vit.tokenpose(), 13.51, 6.31, 5.66),
    (vit.vitpose("S"), 24.29, 5.61, 5.61), (vit.sharpose("Small"), 28.48, 4.84, None)]


@pytest.mark.parametrize("run, params_m, gflops, hrnet_tool", COUNTS, ids=[run.model.kind for run, *_ in COUNTS])
def test_counts(run, params_m, gflops, hrnet_tool):
    """One network of each system; all of them against the print: test_peers_rows.py."""
    cost = measure(_empty(run), run.image_size)
    assert cost.params_m == pytest.approx(params_m, rel=0.001)
    assert cost.gflops == pytest.approx(gflops, rel=0.01)
    assert cost.gflops_torch == pytest.approx(cost.gflops, rel=0.01)  # two counters that share no code
    assert hrnet_tool is None or cost.gflops_hrnet_tool == pytest.approx(hrnet_tool, rel=0.01)


@pytest.mark.parametrize("row", [*table3.ROWS, *table4.ROWS], ids=lambda row: f"{row.run.data.task}-{row.id}")
def test_recipes_fit_together(row):
    """Model, codec and loss of CrowdPose's and MPII's rows agree at their own size, and the run survives JSON."""
    keypoints = benchmarks.get(row.run.data.task).keypoints()
    _empty(row.run, len(keypoints))
    build_loss(row.run.loss, row.run.codec, keypoints)
    build_codec(row.run.codec, row.run.image_size, len(keypoints))
    assert from_dict(to_dict(row.run)) == row.run


@pytest.mark.parametrize(("config", "codec"), [
    (HRNetConfig(), SIMCC), (HRNetConfig(), FULL), (SimCCConfig(), HEATMAP), (SARConfig(), HEATMAP),
    (SRPoseConfig(), HEATMAP), (RTMPoseConfig(), HEATMAP), (HRNetConfig(backbone="hrnet_w31"), HEATMAP),
    (HRNetConfig(backbone="hrnet_quick"), HEATMAP)])
def test_impossible_combinations_are_refused(config, codec):
    with pytest.raises(FlatPoseError):
        build_model(config, codec, (64, 64), 17, pretrained=True)


@pytest.mark.parametrize(("run", "parameters"), [
    (vit.vitpose(), ("backbone.pos_embed", "backbone.blocks.3.mlp.fc1.weight", "deconvs.0.weight")),
    (vit.sharpose(), ("keypoint_tokens", "blocks.3.mlp.fc1.weight", "quality.1.weight"))], ids=["vitpose", "sharpose"])
def test_rates_fall_towards_the_input_over_fourteen_groups(run, parameters):
    """Embeddings, twelve blocks, the rest; timm reads the groups from names, where a bracket too many breaks it."""
    model = _empty(run)
    groups = build_optimizer(model, run.train).param_groups
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sorted(set(scales.values())) == pytest.approx([0.75 ** n for n in range(13, -1, -1)])
    named = [dict(model.named_parameters())[key] for key in parameters]
    assert [scales[id(p)] for p in named] == pytest.approx([0.75 ** 13, 0.75 ** 9, 1.0])
    assert [decays[id(p)] for p in named] == [0.0, 0.1, 0.1]


def test_sharpose_refines_only_persons_of_low_quality():
    """At test time a person whose predicted quality reaches the threshold keeps the coarse answer."""
    torch.manual_seed(0)
    images, codec, made = torch.randn(4, 3, 64, 64), shrunk(vit.sharpose().codec, 2), {}
    for threshold in (None, -1e9):
        torch.manual_seed(1)
        config = SHaRPoseConfig(backbone="vit_quick", num_heads=4, drop_path=0.0, threshold=threshold)
        with torch.inference_mode():
            made[threshold] = build_model(config, codec, (64, 64), 17, pretrained=False).eval()(images)
    kept, refined = made[-1e9], made[None]
    assert torch.equal(kept["heatmap"], kept["heatmap_coarse"])
    assert not torch.equal(refined["heatmap"], refined["heatmap_coarse"])
