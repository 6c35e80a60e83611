"""Salience-guided refinement: selection, overwriting, and which reading trains the salience head."""

from __future__ import annotations

import pytest
import torch

from flatpose.config import FlatPoseConfig, FlatPoseReadings
from flatpose.models.refinement import RefineBlock


def make(top_k=4, salience="none", refine_ffn="selected", **readings) -> RefineBlock:
    torch.manual_seed(0)
    chosen = FlatPoseReadings(salience=salience, refine_ffn=refine_ffn, **readings)
    return RefineBlock(FlatPoseConfig(embed_dim=32, num_heads=4, readings=chosen), top_k, num_keypoints=17)


def context(length=12) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(3, length, 32)


def selection(block, tokens) -> torch.Tensor:
    return block.salience_head(tokens).amax(-1).topk(block.top_k).indices


def test_only_the_top_k_tokens_change() -> None:
    block, tokens = make(), context()
    updated, selected = block(tokens), selection(block, tokens)
    changed = (updated != tokens).any(-1)
    assert changed.sum(1).tolist() == [4, 4, 4]
    assert torch.equal(changed.nonzero()[:, 1].view(3, 4), selected.sort().values)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("refine_ffn", ["selected", "all"])
def test_k_full_is_cross_attention_over_all_tokens(refine_ffn, norm) -> None:
    block, tokens = make(top_k=12, refine_ffn=refine_ffn, norm=norm), context()
    if norm == "pre":
        full = block.feed_forward(tokens + block.attention(block.norm(tokens), block.norm(tokens)))
    else:
        full = block.feed_forward(block.norm(tokens + block.attention(tokens, tokens)))
    torch.testing.assert_close(block(tokens), full)


def test_feed_forward_on_all_reaches_the_tokens_that_were_not_selected() -> None:
    block, tokens = make(refine_ffn="all"), context()
    updated = block(tokens)
    rest = torch.ones(3, 12, dtype=torch.bool).scatter(1, selection(block, tokens), False)
    torch.testing.assert_close(updated[rest], block.feed_forward(tokens)[rest])


@pytest.mark.parametrize("refine_ffn", ["selected", "all"])
def test_permuting_tokens_permutes_the_block(refine_ffn) -> None:
    block, tokens, order = make(refine_ffn=refine_ffn, salience="gate"), context(), torch.randperm(12)
    torch.testing.assert_close(block(tokens)[:, order], block(tokens[:, order]))


@pytest.mark.parametrize(("salience", "trained"), [("none", False), ("gate", True), ("straight_through", True)])
@pytest.mark.parametrize("head", ["linear", "mlp", "per_keypoint"])
def test_gradient_of_the_salience_head(salience, trained, head) -> None:
    block = make(salience=salience, salience_head=head)
    block(context()).square().mean().backward()
    grads = [p.grad for p in block.salience_head.parameters()]
    assert all((g is not None and g.abs().sum() > 0) == trained for g in grads)


def test_straight_through_overwrites_and_gate_mixes() -> None:
    tokens = context()
    literal, through, gated = (make(salience=s)(tokens) for s in ("none", "straight_through", "gate"))
    torch.testing.assert_close(through, literal)
    gate = torch.sigmoid(make(salience="gate").salience_head(tokens))
    torch.testing.assert_close(gated, tokens + gate * (literal - tokens))
