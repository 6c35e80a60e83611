"""The fixed sine code: distinct per cell and separable."""

from __future__ import annotations

import torch

from flatpose.models.position import sine_position_2d


def test_shape_range_and_separability() -> None:
    code = sine_position_2d(4, 3, 32).unflatten(0, (4, 3))
    assert code.shape == (4, 3, 32) and code.abs().max() <= 1
    assert torch.equal(code[:, 0, :16], code[:, 2, :16]), "the first half encodes y only"
    assert torch.equal(code[0, :, 16:], code[3, :, 16:]), "the second half encodes x only"
    many = sine_position_2d(12, 9, 256)
    assert (torch.cdist(many, many) + 10 * torch.eye(len(many))).min() > 0.1
