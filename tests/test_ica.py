"""ICA: the fast bias is Algorithm 1, digit for digit, and has the properties the paper claims for it."""

from __future__ import annotations

import shutil

import pytest
import torch

from flatpose.config import FlatPoseConfig
from flatpose.models.ica import SemanticBias
from flatpose.models.transformer import Attention, CoarseBlock

SMALL = FlatPoseConfig(embed_dim=64)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def make(dtype=torch.float64, rough=1.0, **options) -> SemanticBias:
    torch.manual_seed(0)
    bias = SemanticBias(64, 8, **options).to(dtype)
    with torch.no_grad():
        bias.grid.normal_(std=rough)
    return bias


def harsh_tokens(dtype=torch.float64, length=13) -> torch.Tensor:
    """Tokens with repeated coordinates, and with coordinates saturated at both ends."""
    torch.manual_seed(1)
    tokens = 3 * torch.randn(3, length, 64, dtype=dtype)
    tokens[:, 3] = tokens[:, 5]
    tokens[1] = tokens[1, :1]
    tokens[2, ::2] *= 300
    return tokens


def outputs_and_grads(bias: SemanticBias, tokens: torch.Tensor, literal: bool) -> dict[str, torch.Tensor]:
    bias.literal = literal
    bias.zero_grad()
    tokens = tokens.clone().requires_grad_()
    out = bias(tokens)
    torch.manual_seed(2)
    out.backward(torch.randn(out.shape, dtype=out.dtype))
    return {"out": out.detach(), "tokens": tokens.grad, **{n: p.grad.clone() for n, p in bias.named_parameters()}}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("options", [{}, {"align_corners": False}, {"learnable_gamma": True, "grid_size": 5},
                                     {"grid_size": 2, "hidden": 12, "grid_dim": 3, "coord_dim": 8}])
def test_the_folded_form_is_literal_in_value_and_every_gradient(dtype, options) -> None:
    bias, tokens = make(dtype, **options), harsh_tokens(dtype)
    coords = bias.coordinates(tokens)
    assert (coords == 1).any() and (coords == -1).any(), "the test should saturate"
    literal, fast = (outputs_and_grads(bias, tokens, form) for form in (True, False))
    for name, expected in literal.items():
        scale = expected.abs().max().clamp(min=1)
        assert (fast[name] - expected).abs().max() <= TOLERANCE[dtype] * scale, name


def test_bias_is_symmetric_with_a_constant_diagonal_and_sees_distances_only() -> None:
    bias = make()
    out = bias(harsh_tokens())
    torch.testing.assert_close(out, out.transpose(2, 3), rtol=1e-12, atol=1e-12)
    diagonal = out.diagonal(dim1=2, dim2=3)
    torch.testing.assert_close(diagonal, diagonal[:1, :, :1].expand_as(diagonal), rtol=1e-14, atol=1e-14)


def test_semantic_coordinates_use_each_tokens_own_key_and_stay_within_one() -> None:
    bias, tokens = make(), harsh_tokens()
    coords = bias.coordinates(tokens)
    w = bias.to_qk.weight.split(64)
    token = tokens[0, 4]
    expected = torch.tanh(0.125 * torch.stack([(w[0] @ token) @ (w[1] @ token), (w[2] @ token) @ (w[3] @ token)]))
    torch.testing.assert_close(coords[0, 4], expected)
    assert coords.abs().max() <= 1


def test_zero_grid_and_mlp_is_plain_attention() -> None:
    torch.manual_seed(0)
    bias = SemanticBias(64, 8)
    for parameter in (bias.grid, *bias.mlp.parameters()):
        torch.nn.init.zeros_(parameter)
    block = CoarseBlock(SMALL, bias).eval()
    tokens = torch.randn(2, 12, 64)
    with_ica = block(tokens)
    block.semantic_bias = None
    torch.testing.assert_close(with_ica, block(tokens), rtol=0, atol=1e-7)


def test_permuting_tokens_permutes_the_block() -> None:
    torch.manual_seed(0)
    block = CoarseBlock(SMALL, make()).double()
    tokens, order = harsh_tokens(), torch.randperm(13)
    torch.testing.assert_close(block(tokens)[:, order], block(tokens[:, order]))


def test_attention_agrees_with_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(64, 8), torch.nn.MultiheadAttention(64, 8, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.to_q.weight, ours.to_kv.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.to_q.bias, ours.to_kv.bias]))
    theirs.out_proj = ours.out
    queries, context, bias = torch.randn(2, 5, 64), torch.randn(2, 9, 64), torch.randn(2, 8, 5, 9)
    expected, _ = theirs(queries, context, context, attn_mask=bias.flatten(0, 1))
    torch.testing.assert_close(ours(queries, context, bias), expected)


def test_bf16_autocast_keeps_the_bias_in_float32() -> None:
    bias, tokens = make(torch.float32), harsh_tokens(torch.float32)
    exact = bias(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        out = bias(tokens)
        half = bias(tokens.bfloat16())
        block = CoarseBlock(SMALL, bias)
        block(tokens).float().mean().backward()
    assert out.dtype == half.dtype == torch.float32
    torch.testing.assert_close(out, exact)
    assert all(torch.isfinite(p.grad).all() for p in bias.parameters())


def test_training_stores_no_hidden_layer() -> None:
    """Between forward and backward pass nothing of L x L x 128 is kept."""
    bias, tokens, kept = make(torch.float32), harsh_tokens(torch.float32, length=48), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        bias(tokens.requires_grad_())
    assert max(kept) < 3 * 48 * 48 * 128 // 8


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_form_gives_the_same_values_and_gradients() -> None:
    bias, tokens = make(torch.float32), harsh_tokens(torch.float32)
    eager = outputs_and_grads(bias, tokens, literal=False)
    bias.compile()
    for name, value in outputs_and_grads(bias, tokens, literal=False).items():
        assert (value - eager[name]).abs().max() <= 1e-5 * eager[name].abs().max().clamp(min=1), name
