"""The counters: hand-counted layers, each convention's peculiarity, and no operator that escapes."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from flatpose.complexity import ShapesOnly, measure
from flatpose.errors import FlatPoseError


class Tokens(nn.Module):
    """Images (1, 3, 4, 4) to 16 tokens of 8 channels, then ``layer``."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.stem, self.layer = nn.Conv2d(3, 8, 1), layer

    def forward(self, images):
        return self.layer(self.stem(images).flatten(2).transpose(1, 2))


class Attention(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused

    def forward(self, x):
        if self.fused:
            return nn.functional.scaled_dot_product_attention(x[None], x[None], x[None])
        return (x @ x.transpose(-2, -1)).softmax(-1) @ x


STEM = 3 * 8 * 16


def test_linear_on_tokens_in_every_convention() -> None:
    cost = measure(Tokens(nn.Linear(8, 5)), (4, 4))
    assert cost.gflops * 1e9 == cost.gflops_torch * 1e9 == STEM + 16 * 8 * 5
    assert cost.gflops_hrnet_tool * 2**30 == STEM + 16 * 16 * 5, "HRNet's tool multiplies by tokens, not channels"
    assert cost.params_m * 1e6 == 3 * 8 + 8 + 8 * 5 + 5


def test_transposed_convolution_is_priced_at_its_output_by_hrnets_tool() -> None:
    cost = measure(nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (6, 4))
    assert cost.gflops * 1e9 == 3 * 2 * 16 * 24
    assert cost.gflops_hrnet_tool * 2**30 == 4 * 3 * 2 * 16 * 24


@pytest.mark.parametrize("fused", [False, True])
def test_attention_counts_the_same_fused_or_not(fused) -> None:
    cost = measure(Tokens(Attention(fused)), (4, 4))
    assert cost.gflops * 1e9 == cost.gflops_torch * 1e9 == STEM + 2 * 16 * 16 * 8


def test_timm_vit_with_fused_attention() -> None:
    with ShapesOnly():
        model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    cost = measure(model, (224, 224))
    assert cost.gflops == pytest.approx(1.26, abs=0.01)
    assert cost.gflops_torch == pytest.approx(cost.gflops, rel=0.01)
    assert cost.params_m - cost.params_leaf_m == pytest.approx((197 + 1) * 192 / 1e6), "position code and class token"


class Distances(nn.Module):
    def forward(self, x):
        return torch.cdist(x, x)


class Hidden(nn.Module):
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x @ x.transpose(-2, -1)

    def forward(self, x):
        return self.Product.apply(x)


@pytest.mark.parametrize("layer, name", [(Distances, "aten::cdist"), (Hidden, "PythonOp")])
def test_an_uncounted_operator_is_an_error_that_names_it(layer, name) -> None:
    with pytest.raises(FlatPoseError, match=name):
        measure(Tokens(layer()), (4, 4))


def test_shapes_only_gives_zeros_instead_of_random_weights() -> None:
    with ShapesOnly():
        layer = nn.Linear(4, 4)
    assert not layer.weight.any() and nn.Linear(4, 4).weight.any()
