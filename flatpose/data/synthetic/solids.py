"""Everything drawn is a set of tapered capsules ("solids"): projection, filling by depth, and shading in one pass.

Filling is numpy alone, so that masks, boxes and visibilities do not depend on the version of OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import NEAR, Camera
from flatpose.data.synthetic.textures import TILE, cloth_bank, folds

Array = NDArray[np.float64]
_CAP = np.linspace(0.5, 1.5, 7) * np.pi
_ROUND = np.stack([np.cos(_CAP), np.sin(_CAP)], axis=1)
_SQUARE = _ROUND / np.abs(_ROUND).max(axis=1, keepdims=True)
_BLOCK = 8192
SCALE = 2


@dataclass
class Solids:
    """M solids in the camera frame (x right, y down, z forward, metres).

    A solid runs from ``a`` to ``b`` (M, 3); its cross-sections are ellipsoids with half axes ``radii_a``, ``radii_b``
    (M, 3) along the columns of ``frame`` (M, 3, 3). ``owner`` is the person it belongs to, -1 for things. ``square``
    ones have corners and are shaded flat; ``roundness`` (0 cylinder .. 1 ball) bends the normal along the axis.
    ``bias`` is subtracted from the depth used for sorting. Colours (M, 3 colours, 3 RGB 0..255): ground, pattern and
    paint; ``texture`` indexes the pattern with ``texels`` per metre. Painted is where
    ``normal . paint_axis + paint_slope * t > paint_level`` with t from 0 at ``a`` to 1 at ``b``.
    """

    a: Array
    b: Array
    radii_a: Array
    radii_b: Array
    frame: Array
    owner: NDArray[np.int64]
    square: NDArray[np.bool_]
    roundness: Array
    bias: Array
    colours: Array
    texture: NDArray[np.int64]
    texels: Array
    paint_axis: Array
    paint_slope: Array
    paint_level: Array

    def take(self, index: NDArray) -> Solids:
        """The solids at ``index`` (integers or a mask)."""
        return Solids(*(getattr(self, f.name)[index] for f in fields(self)))


def join(groups: list[Solids]) -> Solids:
    """All solids in one set."""
    return Solids(*(np.concatenate([getattr(g, f.name) for g in groups]) for f in fields(Solids)))


def things(a: Array, b: Array, radius: Array, colours: Array, *, square: NDArray, texture: NDArray) -> Solids:
    """Objects that belong to nobody: plain capsules or boards."""
    count = len(a)
    radii = np.repeat(radius[:, None], 3, axis=1) * np.where(square[:, None], [1, 0.02, 1], 1)
    zeros = np.zeros(count)
    return Solids(a, b, radii, radii, np.broadcast_to(np.eye(3), (count, 3, 3)), np.full(count, -1), square,
                  zeros + 0.25, zeros, colours, texture, zeros + 60, np.zeros((count, 3)), zeros, zeros + 9)


@dataclass(frozen=True)
class Layers:
    """Solids sorted from far to near and filled into ``ids`` (2H, 2W): 0 nothing, i + 1 for solid i.

    The buffer has SCALE = 2 pixels per image pixel and side.
    ``table`` holds one float32 row per quantity that shading looks up by id (see ``_TABLE``).
    """

    solids: Solids
    ids: NDArray[np.int16]
    table: NDArray[np.float32]

    def surface_depth(self, ids: NDArray, x: Array, y: Array) -> Array:
        """Distance along z of the visible surface at buffer pixels where solid ``ids - 1`` is on top."""
        k = ids - 1
        row = self.table[:, k].astype(np.float64)
        t = ((x - row[0]) * row[2] + (y - row[1]) * row[3]) * row[4]
        across = (x - row[0]) * -row[3] + (y - row[1]) * row[2]
        t = t.clip(0, 1)
        bulge = np.sqrt((1 - (across / np.maximum(row[5] + row[6] * t, 1e-3)) ** 2).clip(0, 1))
        s = self.solids
        radius = s.radii_a[k].min(axis=-1) * (1 - t) + s.radii_b[k].min(axis=-1) * t
        return s.a[k, 2] + (s.b[k, 2] - s.a[k, 2]) * t - radius * bulge


_TABLE = ("x", "y", "dx", "dy", "inverse_length", "radius", "radius_slope", "q_offset", "q_slope", "light_s", "light_q",
          "light_c", "paint_s", "paint_q", "paint_c", "paint_t", "paint_level", "texture", "u", "v", "u0", "v0")


def lay(solids: Solids, camera: Camera, light: Array) -> Layers:
    """Project, sort and fill all solids that are in front of the camera.

    Args:
        solids: What is in the scene.
        camera: Seen through this.
        light: (3,) unit vector towards the light, camera frame.
    """
    depth = np.minimum(solids.a[:, 2], solids.b[:, 2])
    solids = solids.take(depth > NEAR)
    middle = 0.5 * (solids.a[:, 2] + solids.b[:, 2])
    solids = solids.take(np.argsort(-(middle - solids.bias), kind="stable"))
    ends = [to_buffer(camera.project(p)) for p in (solids.a, solids.b)]
    span = ends[1] - ends[0]
    length = np.hypot(span[:, 0], span[:, 1])
    along = np.where(length[:, None] > 1e-6, span / np.maximum(length, 1e-6)[:, None], [0.0, 1.0])
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    zoom = [camera.focal * SCALE / p[:, 2] for p in (solids.a, solids.b)]
    wide = [_extent(solids.frame, r, across) * z for r, z in zip((solids.radii_a, solids.radii_b), zoom, strict=True)]
    deep = [_extent(solids.frame, r, along) * z for r, z in zip((solids.radii_a, solids.radii_b), zoom, strict=True)]
    shape = np.where(solids.square[:, None, None], _SQUARE, _ROUND)
    caps = [end[:, None] + sign * (shape @ np.stack([along * d[:, None], across * w[:, None]], axis=1))
            for end, sign, d, w in zip(ends, (1, -1), deep, wide, strict=True)]
    ids = _fill(np.concatenate(caps, axis=1), camera.size[0] * SCALE, camera.size[1] * SCALE)
    table = _table(solids, light, ends[0], along, across, length, wide, deep)
    return Layers(solids, ids, table)


def to_buffer(pixels: Array) -> Array:
    """Image pixels (..., 2) -> buffer pixels; both count from the centre of the first one."""
    return (pixels + 0.5) * SCALE - 0.5


def _extent(frame: Array, radii: Array, direction: Array) -> Array:
    """Half width of ellipsoids in an image direction (M, 2)."""
    return np.sqrt((((frame[:, :2] * direction[..., None]).sum(axis=1) * radii) ** 2).sum(axis=1))


def _table(solids: Solids, light: Array, start: Array, along: Array, across: Array, length: Array,
           wide: list[Array], deep: list[Array]) -> NDArray[np.float32]:
    """The per-solid constants of shading.

    With s across and q along the solid, both -1..1, and c = sqrt(1 - s^2 - q^2), the normal is s n + q k + c m, where
    n and k are the image directions and m is the view direction made perpendicular to the axis as far as the solid is
    a cylinder. Every dot product with the normal is then three constants per solid.
    """
    axis = solids.b - solids.a
    reach = np.linalg.norm(axis, axis=1)
    axis = axis / np.maximum(reach, 1e-9)[:, None]
    m = np.array([0.0, 0, -1]) + ((1 - solids.roundness) * axis[:, 2])[:, None] * axis
    m /= np.maximum(np.linalg.norm(m, axis=1), 1e-6)[:, None]

    def dots(vectors: Array) -> list[Array]:
        return [(across * vectors[:, :2]).sum(1), (along * vectors[:, :2]).sum(1), (m * vectors).sum(1)]

    whole = length + deep[0] + deep[1]
    q_slope = 2 * solids.roundness / np.maximum(whole, 1e-6)
    lit = np.stack(dots(np.broadcast_to(light, axis.shape)))
    lit = np.where(solids.square, np.array([[0.0], [0], [0.6]]), lit)
    # Texture origins follow from the colours: arbitrary, but free of any further draw.
    origin = (solids.colours[:, 0] * [7.3, 3.1, 5.7]).sum(1)
    rows = [start[:, 0], start[:, 1], along[:, 0], along[:, 1], 1 / np.maximum(length, 1e-3), wide[0],
            wide[1] - wide[0],
            -solids.roundness + deep[0] * q_slope, q_slope * np.maximum(length, 1e-3), *lit, *dots(solids.paint_axis),
            solids.paint_slope, solids.paint_level, solids.texture * TILE * TILE,
            solids.radii_a.max(1) * 1.5 * solids.texels, reach * solids.texels, origin, origin * 1.7]
    return np.stack(rows).astype(np.float32)


def _fill(polygons: Array, width: int, height: int) -> NDArray[np.int16]:
    """Fill convex polygons (M, V, 2), later over earlier -> ids (height, width)."""
    y = polygons[..., 1]
    top = np.ceil(y.min(axis=1)).clip(0, height).astype(np.int64)
    rows = (np.floor(y.max(axis=1)).clip(-1, height - 1).astype(np.int64) - top + 1).clip(0)
    solid = np.repeat(np.arange(len(polygons)), rows)
    row = np.arange(len(solid)) - np.repeat(np.cumsum(rows) - rows - top, rows)
    left, right = _crossings(polygons, solid, row)
    first = np.ceil(left).clip(0, width).astype(np.int64)
    runs = (np.floor(right).clip(-1, width - 1).astype(np.int64) - first + 1).clip(0)
    starts = row * width + first
    pixels = np.arange(runs.sum()) + np.repeat(starts - np.cumsum(runs) + runs, runs)
    ids = np.zeros(height * width, np.int16)
    np.maximum.at(ids, pixels, np.repeat((solid + 1).astype(np.int16), runs))
    return ids.reshape(height, width)


def _crossings(polygons: Array, solid: NDArray, row: NDArray) -> tuple[Array, Array]:
    """Where the lines y = row enter and leave the polygons ``solid``."""
    count = polygons.shape[1]
    above = polygons[..., 1].astype(np.float32)[solid] <= row[:, None].astype(np.float32)
    cross = above ^ np.roll(above, -1, axis=1)
    edges = np.stack([cross.argmax(axis=1), count - 1 - cross[:, ::-1].argmax(axis=1)])
    p, q = polygons[solid, edges], polygons[solid, (edges + 1) % count]
    rise = q[..., 1] - p[..., 1]
    x = p[..., 0] + (row - p[..., 1]) * (q[..., 0] - p[..., 0]) / np.where(rise == 0, 1, rise)
    empty = ~cross.any(axis=1)
    return np.where(empty, 1.0, x.min(axis=0)), np.where(empty, 0.0, x.max(axis=0))


def shade(layers: Layers, ambient: float, diffuse: float) -> NDArray[np.uint8]:
    """Antialiased colours (H, W, 4) of everything filled, in image pixels: RGB times coverage, and coverage.

    Only pixels whose four buffer pixels show different solids are shaded four times; the rest once in the middle.
    """
    rows, columns = (n // 2 for n in layers.ids.shape)
    corners = [layers.ids[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    mixed = (corners[0] != corners[1]) | (corners[0] != corners[2]) | (corners[0] != corners[3])
    flat, palette = layers.ids.reshape(-1), _palette(layers.solids.colours)

    def colour(pixel: NDArray, dx: float, dy: float) -> NDArray[np.float32]:
        y = pixel // columns
        x = pixel - y * columns
        ids = flat.take((4 * columns) * y + 2 * x + (int(dy) * 2 * columns + int(dx)))
        place = (2 * x.astype(np.float32) + np.float32(dx), 2 * y.astype(np.float32) + np.float32(dy))
        return _shade_points(ids, *place, layers.table, palette, ambient, diffuse)

    out = np.zeros(rows * columns, np.uint32)
    inner = np.flatnonzero((corners[0] > 0) & ~mixed)
    # Blocks that stay in the cache; larger temporaries cost more in page faults than in arithmetic.
    for part in np.split(inner, range(_BLOCK, len(inner), _BLOCK)):
        out[part] = colour(part, 0.5, 0.5).astype(np.uint8).view(np.uint32)[:, 0]
    edge = np.flatnonzero(mixed)
    for part in np.split(edge, range(_BLOCK, len(edge), _BLOCK)):
        four = [colour(part, dx, dy) for dx in (0, 1) for dy in (0, 1)]
        out[part] = (0.25 * (four[0] + four[1] + four[2] + four[3])).astype(np.uint8).view(np.uint32)[:, 0]
    return out.view(np.uint8).reshape(rows, columns, 4)


def _palette(colours: Array) -> NDArray[np.float32]:
    """(17 + M * 17, 4) RGBA: 17 times nothing, then per solid sixteen steps from ground to pattern, and the paint."""
    steps = np.linspace(0, 1, 16)[:, None]
    mixed = colours[:, None, 0] * (1 - steps) + colours[:, None, 1] * steps
    rgb = np.concatenate([mixed, colours[:, 2:]], axis=1).reshape(-1, 3)
    rgba = np.concatenate([rgb, np.full((len(rgb), 1), 255)], axis=1)
    return np.concatenate([np.zeros((17, 4)), rgba]).astype(np.float32)


def _shade_points(ids: NDArray[np.int16], px: NDArray, py: NDArray, table: NDArray[np.float32],
                  palette: NDArray[np.float32], ambient: float, diffuse: float) -> NDArray[np.float32]:
    """RGBA (n, 4) at buffer points of solids ``ids - 1``; zeros where the id is 0."""
    # The look-ups clip: id 0 reads the constants of some solid and then the colour of nothing.
    k = ids.astype(np.intp) - 1
    get = dict(zip(_TABLE, table.take(k, axis=1, mode="clip"), strict=True))
    x, y = px - get["x"], py - get["y"]
    t = (x * get["dx"] + y * get["dy"]) * get["inverse_length"]
    s = y * get["dx"] - x * get["dy"]
    s /= np.maximum(get["radius"] + get["radius_slope"] * t.clip(0, 1), 0.3)
    s.clip(-1, 1, out=s)
    q = get["q_offset"] + get["q_slope"] * t
    c = np.sqrt(np.maximum(1 - s * s - q * q, 0))
    light = get["light_s"] * s + get["light_q"] * q + get["light_c"] * c
    painted = get["paint_s"] * s + get["paint_q"] * q + get["paint_c"] * c + get["paint_t"] * t > get["paint_level"]
    u = (s * get["u"] + get["u0"]).astype(np.int32) & (TILE - 1)
    v = (t * get["v"] + get["v0"]).astype(np.int32) & (TILE - 1)
    cell = v * TILE + u
    step = cloth_bank().reshape(-1).take(cell + get["texture"].astype(np.int32), mode="clip") >> 4
    bright = (ambient + diffuse * np.maximum(light, 0)) * (0.82 + 0.18 * c) * folds().take(cell, mode="clip")
    gain = np.repeat(bright, 4).reshape(-1, 4)
    gain[:, 3] = 1
    gain *= palette.take(17 * (k + 1) + np.where(painted, 16, step), axis=0, mode="clip")
    return np.minimum(gain, 255, out=gain)
