"""The transformer-based peer systems: the official function, name by name; their counts; that they train."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_peers_cnn import compare  # noqa: F401
from torch import nn

from experiments import systems_vit as systems
from flatpose import benchmarks
from flatpose.checkpoints import convert
from flatpose.codecs import build_codec
from flatpose.complexity import ShapesOnly, measure
from flatpose.config import HeatmapCodecConfig, SHaRPoseConfig, TokenPoseConfig
from flatpose.config.run import from_dict, to_dict
from flatpose.errors import FlatPoseError
from flatpose.harness.spec import shrunk
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer

ALL_REFINED = {"threshold": None}
PACKS = {
    "tokenpose_b_256x192": TokenPoseConfig(),
    "tokenpose_l_d24_256x192": systems.tokenpose("L/D24").model,
    "vitpose_s_256x192": systems.vitpose("S").model,
    "vitpose_b_256x192": systems.vitpose("B").model,
    "mmpose_vitpose_s_256x192": systems.vitpose("S").model,
    "mmpose_vitpose_b_256x192": systems.vitpose("B").model,
    "sharpose_small_256x192": replace(systems.sharpose("Small").model, **ALL_REFINED),
    "sharpose_base_256x192": replace(systems.sharpose("Base").model, **ALL_REFINED),
    "sharpose_base_384x288": replace(systems.sharpose("Base", systems.HIGH).model, **ALL_REFINED),
}
BIG = ("l_d24", "_b_", "base")


def _slow(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if any(word in name for word in BIG) and name != "tokenpose_b_256x192" else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=_slow(name)) for name in PACKS])
def test_equal_to_official_code(compare, name):  # noqa: F811
    pack, config = compare.load(name), PACKS[name]
    height, width = pack["input_hw"]
    with ShapesOnly():
        model = build_model(config, HeatmapCodecConfig(), (width, height), 17, pretrained=False)
    ours = convert(config, compare.weights(pack))
    model.eval().load_state_dict(ours)  # strict: nothing missing, nothing left over
    with torch.inference_mode():
        outputs = model(compare.input(pack))
    expected = {key for key in pack["arrays"] if not key.startswith("const:")}
    errors = compare.report(pack, {key: value for key, value in outputs.items() if key in expected})
    assert set(errors) == expected
    assert max(errors.values()) < 1e-4
    epsilons = {m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)}
    assert {eps for kind, eps in pack["norm_eps"] if kind == "LayerNorm"} == epsilons


@pytest.mark.parametrize("name", [pytest.param(name, marks=_slow(name)) for name in PACKS])
def test_every_official_key_is_accounted_for(compare, name):  # noqa: F811
    state = compare.weights(compare.load(name))
    with pytest.raises(FlatPoseError, match="surprise"):
        convert(PACKS[name], {**state, "surprise.weight": torch.zeros(1)})


# run, parameters in millions, multiply-adds / 1e9, and the same by HRNet's tool (peers.md section 1, measured)
COUNTS = {
    "tokenpose-b": (systems.tokenpose(), 13.51, 6.31, 5.66),
    "tokenpose-l": (systems.tokenpose("L/D24"), 27.53, 12.24, 10.98),
    "tokenpose-l-384": (systems.tokenpose("L/D24", systems.HIGH), 29.86, 24.11, 22.14),
    "vitpose-s": (systems.vitpose("S"), 24.29, 5.61, 5.61),
    "vitpose-b": (systems.vitpose("B"), 89.99, 18.54, 8.22),
    "vitpose-b-384": (systems.vitpose("B", systems.HIGH), 90.18, 43.63, 26.5),
    "sharpose-small": (systems.sharpose("Small"), 28.48, 4.84, None),
    "sharpose-base": (systems.sharpose(), 94.12, 17.06, None),
    "sharpose-base-384": (systems.sharpose("Base", systems.HIGH), 118.54, 32.71, None),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if "384" in n or "-l" in n else [])
                                  for n in COUNTS])
def test_counts(name):
    run, params_m, gflops, hrnet_tool = COUNTS[name]
    with ShapesOnly():
        model = build_model(run.model, run.codec, run.image_size, 17, pretrained=False)
    cost = measure(model, run.image_size)
    assert cost.params_m == pytest.approx(params_m, rel=0.001)
    assert cost.gflops == pytest.approx(gflops, rel=0.01)
    assert cost.gflops_torch == pytest.approx(cost.gflops, rel=0.01)  # two counters that share no code
    assert hrnet_tool is None or cost.gflops_hrnet_tool == pytest.approx(hrnet_tool, rel=0.01)


LAYERS = {
    "vitpose": (systems.vitpose(), "backbone.pos_embed", "backbone.blocks.3.mlp.fc1.weight", "deconvs.0.weight"),
    "sharpose": (systems.sharpose(), "keypoint_tokens", "blocks.3.mlp.fc1.weight", "quality.1.weight"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rates_fall_towards_the_input_over_fourteen_groups(name):
    """Embeddings, twelve blocks, the rest; timm reads the groups from names, where a bracket too many breaks it."""
    run, *parameters = LAYERS[name]
    with ShapesOnly():
        model = build_model(run.model, run.codec, run.image_size, 17, pretrained=False)
    groups = build_optimizer(model, run.train).param_groups
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sorted(set(scales.values())) == pytest.approx([0.75 ** n for n in range(13, -1, -1)])
    named = [dict(model.named_parameters())[key] for key in parameters]
    assert [scales[id(p)] for p in named] == pytest.approx([0.75 ** 13, 0.75 ** 9, 1.0])
    assert [decays[id(p)] for p in named] == [0.0, 0.1, 0.1]


RECIPES = [systems.tokenpose("B", task="crowdpose"), systems.tokenpose("L/D24", systems.HIGH),
           systems.tokenpose("L/D6", systems.SQUARE, "mpii"), systems.vitpose("S"), systems.vitpose("B", systems.HIGH),
           systems.sharpose("Small"), systems.sharpose("Base", systems.HIGH), systems.gatedunipose()]


@pytest.mark.parametrize("run", RECIPES, ids=lambda run: f"{run.model.kind}-{run.data.task}-{run.image_size[1]}")
def test_recipes_fit_together(run):
    """Model, codec and loss of each recipe agree at its own size, and the recipe survives JSON."""
    keypoints = benchmarks.get(run.data.task).keypoints()
    with ShapesOnly():
        build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    build_loss(run.loss, run.codec, keypoints)
    build_codec(run.codec, run.image_size, len(keypoints))
    assert from_dict(to_dict(run)) == run


def test_sharpose_refines_only_persons_of_low_quality():
    """At test time a person whose predicted quality reaches the threshold keeps the coarse answer."""
    torch.manual_seed(0)
    images, codec, made = torch.randn(4, 3, 64, 64), shrunk(systems.sharpose().codec, 2), {}
    for threshold in (None, -1e9):
        torch.manual_seed(1)
        config = SHaRPoseConfig(backbone="vit_quick", num_heads=4, drop_path=0.0, threshold=threshold)
        with torch.inference_mode():
            made[threshold] = build_model(config, codec, (64, 64), 17, pretrained=False).eval()(images)
    kept, refined = made[-1e9], made[None]
    assert torch.equal(kept["heatmap"], kept["heatmap_coarse"])
    assert not torch.equal(refined["heatmap"], refined["heatmap_coarse"])
