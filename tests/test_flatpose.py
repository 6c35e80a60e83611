"""The network of FlatPoseConfig: outputs, every reading, errors, and Table 6 read off what was built."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from experiments.table1 import FLATPOSE_B
from experiments.table6 import PUBLISHED
from flatpose.complexity import ShapesOnly, table6
from flatpose.config import FlatPoseConfig, HeatmapCodecConfig, RegressionCodecConfig, SimCCCodecConfig
from flatpose.errors import SpecError
from flatpose.models import build_model
from flatpose.models.transformer import sine_position_2d

SMALL = FlatPoseConfig(backbone="resnet_quick_os16", pretrained=False, embed_dim=32, num_heads=4, num_coarse_blocks=2,
                       coord_dim=8, bias_dim=8, bias_hidden=16, bias_grid_size=4, deconv_dim=16)
SIZE = (48, 64)  # 3 x 4 tokens


def build(size=SIZE, codec=None, **changes):
    torch.manual_seed(0)
    codec = codec or (RegressionCodecConfig() if changes.get("head") == "regression" else SimCCCodecConfig())
    readings = {name: changes.pop(name) for name in list(changes) if hasattr(SMALL.readings, name)}
    return build_model(replace(SMALL, **changes, readings=replace(SMALL.readings, **readings)), codec, size, 17)


def images(batch=2, size=SIZE):
    torch.manual_seed(1)
    return torch.randn(batch, 3, size[1], size[0])


VARIANTS = [
    {}, {"ica": False}, {"num_deconvs": 2}, {"num_deconvs": 1, "classifier": "wide"}, {"top_k": "full"}, {"top_k": 2},
    {"num_refine_blocks": 3, "share_refine": True}, {"gamma": "learnable"}, {"align_corners": False},
    {"salience": "straight_through"}, {"salience": "none"}, {"salience_head": "mlp"}, {"salience_head": "per_keypoint"},
    {"refine_ffn": "selected"}, {"norm": "post", "activation": "relu"}, {"dropout": 0.1, "drop_path": 0.1},
    {"num_coarse_blocks": 0, "num_refine_blocks": 0},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_reading_gives_logits_trains_every_parameter_and_can_be_saved(changes) -> None:
    model = build(**changes)
    outputs = model(images())
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {"simcc_x": (2, 17, 96), "simcc_y": (2, 17, 128)}
    sum(v.square().mean() for v in outputs.values()).backward()
    frozen = {n.split(".")[-2] for n, p in model.named_parameters() if p.grad is None or not p.requires_grad}
    assert frozen == ({"salience_head"} if changes == {"salience": "none"} else set())
    assert load(save(model.state_dict())).keys() == model.state_dict().keys()


def test_shared_refine_blocks_are_one_set_of_weights() -> None:
    def count(**changes):
        return sum(p.numel() for p in build(**changes).parameters())

    assert count(num_refine_blocks=3, share_refine=True) == count(num_refine_blocks=1)
    assert count(num_refine_blocks=3) > count(num_refine_blocks=1)
    shared = build(num_refine_blocks=3, share_refine=True)
    calls = []
    shared.refine[0].register_forward_hook(lambda *_: calls.append(1))
    shared.eval()(images())
    assert len(calls) == 3
    copy = build(num_refine_blocks=3, share_refine=True)
    copy.load_state_dict(load(save(shared.state_dict())))  # safetensors refuses tensors that share their memory
    assert torch.equal(copy.eval()(images())["simcc_x"], shared(images())["simcc_x"])


def test_refine_blocks_start_with_different_weights() -> None:
    first, second = build().refine
    assert not torch.equal(first.attention.to_q.weight, second.attention.to_q.weight)


def test_tokens_at_any_size() -> None:
    for size in ((64, 64), (160, 96)):
        assert build(size)(images(1, size))["simcc_x"].shape == (1, 17, 2 * size[0])


def test_bf16_autocast_trains() -> None:
    model = build()
    with torch.autocast("cpu", torch.bfloat16):
        loss = sum(v.float().square().mean() for v in model(images()).values())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(("changes", "codec", "size", "message"), [
    ({}, HeatmapCodecConfig(), SIZE, "head 'simcc' needs codec 'simcc'"),
    ({"top_k": 13}, None, SIZE, "top_k 13 exceeds the 12 tokens"),
    ({}, None, (50, 64), "not a multiple of 16"),
])
def test_impossible_specs_are_refused(changes, codec, size, message) -> None:
    with pytest.raises(SpecError, match=message):
        build(size, codec, **changes)


def test_table6_is_what_we_build() -> None:
    with ShapesOnly():
        model = build_model(FLATPOSE_B.model, FLATPOSE_B.codec, FLATPOSE_B.image_size, 17, pretrained=False)
    for block in model.coarse:
        assert table6(block) == PUBLISHED


def test_the_sine_code_is_separable_and_tells_cells_apart() -> None:
    code = sine_position_2d(4, 3, 32).unflatten(0, (4, 3))
    assert code.shape == (4, 3, 32) and code.abs().max() <= 1
    assert torch.equal(code[:, 0, :16], code[:, 2, :16]), "the first half encodes y only"
    assert torch.equal(code[0, :, 16:], code[3, :, 16:]), "the second half encodes x only"
    many = sine_position_2d(12, 9, 256)
    assert (torch.cdist(many, many) + 10 * torch.eye(len(many))).min() > 0.1
