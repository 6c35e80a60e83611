"""Salience-guided refinement: select, attend, update (section 3.3, eqs. 11 and 12, Fig. 3).

A salience head scores every token, the K best become queries of a cross-attention over all tokens, and the results
overwrite those tokens. Two readings decide what that means:

* R6, ``salience``: overwriting passes no gradient to the scores, so that literally ("none") the head is never trained.
  "gate" mixes old and refined token by the sigmoid of the score; "straight_through" overwrites but lets the gradient
  pass as if it had been gated.
* R8, ``refine_ffn``: the feed-forward half of the block acts on the selected tokens (what eq. 12 says) or on the whole
  updated context ("all", what the multiply-adds of Tables 1 and 5 say; reports/readings_search.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flatpose.config import FlatPoseConfig
from flatpose.models.transformer import Attention, FeedForward, branch_drop, init_linear


def salience_head(config: FlatPoseConfig, num_keypoints: int) -> nn.Module:
    """Tokens (B, L, D) -> scores (B, L, 1 or K): reading R7, the form of the paper's "Salience Head"."""
    dim, kind = config.embed_dim, config.readings.salience_head
    if kind == "mlp":
        return nn.Sequential(nn.Linear(dim, dim // 4), nn.GELU(), nn.Linear(dim // 4, 1))
    return nn.Linear(dim, num_keypoints if kind == "per_keypoint" else 1)


class RefineBlock(nn.Module):
    """One select-attend-update iteration on the ``top_k`` most salient tokens (the paper's K), best first.

    A forward hook on ``salience_head`` sees the scores (B, L, n); a token's salience is the largest of its n.
    """

    def __init__(self, config: FlatPoseConfig, top_k: int, num_keypoints: int) -> None:
        super().__init__()
        dim, readings = config.embed_dim, config.readings
        self.top_k, self.salience, self.ffn_on_all = top_k, readings.salience, readings.refine_ffn == "all"
        self.salience_head = salience_head(config, num_keypoints)
        if self.salience == "none":
            self.salience_head.requires_grad_(False)  # no gradient reaches it, and DDP reports unused parameters
        self.pre_norm = readings.norm == "pre"
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, config.num_heads)
        self.drop = branch_drop(readings)
        self.feed_forward = FeedForward(config)
        self.apply(init_linear)

    def forward(self, context: Tensor) -> Tensor:
        """X_context (B, L, D) -> the updated context (B, L, D)."""
        scores, selected = self.salience_head(context).amax(-1).topk(self.top_k, dim=-1)
        index = selected[..., None].expand(-1, -1, context.shape[-1])
        query = context.gather(1, index)  # eq. 11
        refined = self._attend(query, context, index)  # eq. 12
        if self.ffn_on_all:
            return self.feed_forward(self._overwrite(context, index, self._gate(query, refined, scores)))
        return self._overwrite(context, index, self._gate(query, self.feed_forward(refined), scores))

    def _attend(self, query: Tensor, context: Tensor, index: Tensor) -> Tensor:
        """Cross-attention of the selected tokens (B, K, D) over all, with its residual."""
        if not self.pre_norm:
            return self.norm(query + self.drop(self.attention(query, context)))
        keys = self.norm(context)
        return query + self.drop(self.attention(keys.gather(1, index), keys))

    def _gate(self, query: Tensor, refined: Tensor, scores: Tensor) -> Tensor:
        """The tokens (B, K, D) to write back, with a gradient to their scores unless ``salience`` is "none"."""
        if self.salience == "none":
            return refined
        gate = torch.sigmoid(scores)[..., None]
        if self.salience == "straight_through":
            gate = gate + (1 - gate).detach()
        return query + gate * (refined - query)

    @staticmethod
    def _overwrite(context: Tensor, index: Tensor, tokens: Tensor) -> Tensor:
        """Section 3.3.3: the context with the selected tokens replaced."""
        return context.scatter(1, index, tokens.to(context.dtype))
