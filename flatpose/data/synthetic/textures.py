"""Tiling patterns, made once per process from fixed seeds; images crop them or look them up."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

TILE = 128
GROUND_TILE = 512


def _noise(rng: np.random.Generator, size: int, octaves: tuple[int, ...]) -> NDArray[np.float32]:
    """Tiling value noise (size, size) in 0..1, wrapped before it is resized so that no seam shows."""
    total = np.zeros((size, size), np.float32)
    for cells in octaves:
        grid = np.pad(rng.random((cells, cells), dtype=np.float32), 2, mode="wrap")
        unit = size // cells
        smooth = cv2.resize(grid, None, fx=unit, fy=unit, interpolation=cv2.INTER_CUBIC)
        total += smooth[2 * unit:2 * unit + size, 2 * unit:2 * unit + size] / np.sqrt(cells)
    return (total - total.min()) / (total.max() - total.min())


@cache
def cloth_bank() -> NDArray[np.float32]:
    """(P, TILE * TILE) weights 0..1 of the second colour of each cloth pattern; row 0 is plain."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:TILE, 0:TILE]
    stripes = [*[(y // w) % 2 for w in (4, 8, 16)], *[(x // w) % 2 for w in (4, 8)], ((x + y) // 8) % 2]
    checks = [*[(y // w + x // w) % 2 for w in (8, 16)], ((y % 16 < 3) | (x % 16 < 3)) * 0.8,
              0.5 * ((y // 16) % 2) + 0.5 * ((x // 16) % 2)]
    blots = [(x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 14, _noise(rng, TILE, (4, 8)) > 0.5, _noise(rng, TILE, (8, 16))]
    return np.stack([0 * x, *stripes, *checks, *blots]).astype(np.float32).reshape(-1, TILE * TILE)


@cache
def folds() -> NDArray[np.float32]:
    """(TILE * TILE,) brightness factors around 1: creases and grain of every surface."""
    return _noise(np.random.default_rng(12), TILE, (8, 16, 32, 64)).reshape(-1) * np.float32(0.34) + np.float32(0.83)


@cache
def ground_bank() -> NDArray[np.uint8]:
    """(P, 2 * GROUND_TILE, 2 * GROUND_TILE) grey patterns of walls, floors and furniture."""
    rng = np.random.default_rng(13)
    y, x = np.mgrid[0:GROUND_TILE, 0:GROUND_TILE]
    soft = [_noise(rng, GROUND_TILE, o) for o in ((2, 4), (4, 8, 16), (8, 16, 32, 64), (16, 64, 256),
                                                  (2, 4, 8, 16, 32, 64, 128))]
    brick = ((y % 16 < 2) | ((x + 16 * ((y // 16) % 2)) % 32 < 2)) * 0.7 + 0.3 * soft[2]
    bars = ((x // 16) % 2) * 0.7 + 0.3 * soft[2]
    tiles = ((x // 64 + y // 64) % 2) * 0.5 + 0.5 * soft[3]
    curtain = np.abs(np.sin(x / 17 + 3 * soft[1])) * 0.8 + 0.2 * soft[3]
    maps = [*soft, brick, bars, tiles, curtain]
    return np.stack([np.tile((m / m.max() * 255).astype(np.uint8), (2, 2)) for m in maps])


@cache
def grain() -> NDArray[np.uint8]:
    """(2 * GROUND_TILE, 2 * GROUND_TILE, 3) sensor noise around 128, standard deviation 24."""
    noise = np.random.default_rng(14).normal(128, 24, (2 * GROUND_TILE, 2 * GROUND_TILE, 3))
    return noise.clip(0, 255).astype(np.uint8)
