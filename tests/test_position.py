"""The fixed sine code: distinct per cell, separable, independent of parameters."""

from __future__ import annotations

import pytest
import torch

from flatpose.models.transformer import sine_position_2d


def test_shape_range_and_separability() -> None:
    code = sine_position_2d(4, 3, 32).unflatten(0, (4, 3))
    assert code.shape == (4, 3, 32) and code.abs().max() <= 1
    assert torch.equal(code[:, 0, :16], code[:, 2, :16]), "the first half encodes y only"
    assert torch.equal(code[0, :, 16:], code[3, :, 16:]), "the second half encodes x only"


def test_cells_differ() -> None:
    code = sine_position_2d(12, 9, 256)
    distances = torch.cdist(code, code) + 10 * torch.eye(len(code))
    assert distances.min() > 0.1


def test_odd_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_position_2d(2, 2, 30)
