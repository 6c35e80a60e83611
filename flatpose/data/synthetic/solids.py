"""People and objects are drawn as tapered capsules ("solids"): projection, filling from far to near, and shading."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import NEAR, Camera
from flatpose.data.synthetic.textures import TILE, cloth_bank, folds

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
SCALE = 2
"""Buffer pixels per image pixel and side."""
SOLID = np.dtype([
    ("a", float, 3), ("b", float, 3), ("radii_a", float, 3), ("radii_b", float, 3), ("frame", float, (3, 3)),
    ("owner", int), ("roundness", float), ("colours", float, (3, 3)), ("texture", int),
    ("texels", float), ("paint_axis", float, 3), ("paint_slope", float), ("paint_level", float)])
"""A solid in the camera frame, in metres.

It runs from ``a`` to ``b``; its cross-sections are ellipsoids with half axes ``radii_a`` and ``radii_b`` along the
columns of ``frame``. ``owner`` is the person that it belongs to, -1 for objects. ``roundness`` (0 cylinder, 1 ball)
bends the normal along the axis. ``colours`` are ground,
pattern and paint (RGB, 0..255); ``texture`` is the index of the pattern, with ``texels`` per metre. Paint covers the
points where ``normal . paint_axis + paint_slope * t > paint_level``, with t from 0 at ``a`` to 1 at ``b``.
"""
_CAP = np.linspace(0.5, 1.5, 9) * np.pi


@dataclass(frozen=True)
class Outlines:
    """M solids in buffer pixels.

    ``start`` (M, 2) is the projection of ``a``, ``length`` (M,) that of the axis. ``along`` and ``across`` (M, 2) are
    unit vectors, ``deep`` and ``wide`` (M, 2) the half extents along and across the axis at ``a`` and ``b``.
    """

    start: Floats
    along: Floats
    across: Floats
    length: Floats
    wide: Floats
    deep: Floats

    def polygons(self) -> NDArray[np.int32]:
        """Closed outlines (M, V, 2) in sixteenths of a pixel."""
        ends = self.start[:, None] + self.along[:, None] * self.length[:, None, None] * np.array([[0.0], [1.0]])
        caps = [ends[:, i, None] + sign * (np.cos(_CAP)[:, None] * (self.along * self.deep[:, i, None])[:, None]
                                           + np.sin(_CAP)[:, None] * (self.across * self.wide[:, i, None])[:, None])
                for i, sign in ((0, 1), (1, -1))]
        return np.round(np.concatenate(caps, axis=1) * 16).astype(np.int32)

    def locate(self, i: NDArray | int, x: Array, y: Array) -> tuple[Array, Array]:
        """Buffer pixels (n,) relative to solids ``i``: s across (-1..1) and t along the axis (0 at a, 1 at b)."""
        dx, dy = x - self.start[i, ..., 0], y - self.start[i, ..., 1]
        t = (dx * self.along[i, ..., 0] + dy * self.along[i, ..., 1]) / np.maximum(self.length[i], 1e-3)
        width = self.wide[i, ..., 0] + (self.wide[i, ..., 1] - self.wide[i, ..., 0]) * t.clip(0, 1)
        s = (dx * self.across[i, ..., 0] + dy * self.across[i, ..., 1]) / np.maximum(width, 0.3)
        return s.clip(-1, 1), t


@dataclass(frozen=True)
class Drawing:
    """Solids sorted from far to near and filled into ``ids`` (2H, 2W): 0 is the backdrop, i + 1 is solid i."""

    solids: NDArray[np.void]
    outlines: Outlines
    ids: NDArray[np.int16]

    def owners(self) -> NDArray[np.int64]:
        """The owner of every buffer pixel; -1 for objects and -2 for the backdrop."""
        return np.append(-2, self.solids["owner"])[self.ids]

    def surface_depth(self, ids: NDArray, x: Array, y: Array) -> Array:
        """Depth z of the visible surface at buffer pixels where solid ``ids - 1`` is on top."""
        k = ids - 1
        s, t = self.outlines.locate(k, x, y)
        t = t.clip(0, 1)
        near, far = self.solids["radii_a"][k].min(axis=-1), self.solids["radii_b"][k].min(axis=-1)
        a, b = self.solids["a"][k, 2], self.solids["b"][k, 2]
        return a + (b - a) * t - (near + (far - near) * t) * np.sqrt(1 - s**2)


def draw(solids: NDArray[np.void], camera: Camera) -> Drawing:
    """Sort the solids in front of the camera by depth, and fill their outlines from far to near."""
    solids = solids[np.minimum(solids["a"][:, 2], solids["b"][:, 2]) > NEAR]
    solids = solids[np.argsort(-solids["a"][:, 2] - solids["b"][:, 2], kind="stable")]
    outlines = _project(solids, camera)
    ids = np.zeros((camera.size[1] * SCALE, camera.size[0] * SCALE), np.int16)
    for i, polygon in enumerate(outlines.polygons()):
        cv2.fillConvexPoly(ids, polygon, i + 1, shift=4)
    return Drawing(solids, outlines, ids)


def to_buffer(pixels: Array) -> Array:
    """Image pixels (..., 2) -> buffer pixels; both count from the centre of the first one."""
    return (pixels + 0.5) * SCALE - 0.5


def _project(solids: NDArray[np.void], camera: Camera) -> Outlines:
    ends = [to_buffer(camera.project(solids[end])) for end in ("a", "b")]
    span = ends[1] - ends[0]
    length = np.hypot(span[:, 0], span[:, 1])
    along = np.where(length[:, None] > 1e-6, span / np.maximum(length, 1e-6)[:, None], [0.0, 1.0])
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)

    def extents(direction: Array) -> Array:
        """Half extents (M, 2) at both ends in an image direction (M, 2)."""
        axes = (solids["frame"][:, :2] * direction[..., None]).sum(axis=1)
        radii = np.stack([solids["radii_a"], solids["radii_b"]], axis=1)
        zoom = camera.focal * SCALE / np.stack([solids["a"][:, 2], solids["b"][:, 2]], axis=1)
        return np.sqrt(((axes[:, None] * radii) ** 2).sum(axis=-1)) * zoom

    values = ends[0], along, across, length, extents(across), extents(along)
    return Outlines(*(value.astype(np.float32) for value in values))


def shade(drawing: Drawing, light: Array, ambient: float, diffuse: float) -> NDArray[np.uint8]:
    """Antialiased colours (H, W, 4) of all solids in image pixels: RGB times coverage, and coverage.

    Args:
        drawing: What is drawn where.
        light: (3,) unit vector towards the light, camera frame.
        ambient: Brightness without direct light.
        diffuse: Brightness added where a surface faces the light.
    """
    height, width = drawing.ids.shape
    flat = drawing.ids.reshape(-1)
    pixels = np.flatnonzero(flat)
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    solids, starts = np.unique(flat[pixels], return_index=True)
    rgba = np.zeros((4, flat.size), np.uint8)
    rgba[3, pixels] = 255
    shading = _Shading(drawing, light, ambient, diffuse)
    for solid, part in zip(solids.tolist(), np.split(pixels, starts[1:]), strict=False):
        y, x = np.divmod(part.astype(np.int32), np.int32(width))
        rgba[:3, part] = shading.colours(solid - 1, x.astype(np.float32), y.astype(np.float32))
    size = width // SCALE, height // SCALE
    return cv2.resize(cv2.merge(list(rgba.reshape(4, height, width))), size, interpolation=cv2.INTER_AREA)


class _Shading:
    """Colours of the points of a drawing.

    The normal of a solid is s n + q k + c m, where n and k are the image directions across and along the axis, s and q
    the position in these directions (-1..1), c = sqrt(1 - s^2 - q^2), and m the view direction, made perpendicular to
    the axis as far as the solid is a cylinder. A product with the normal is then a sum of three terms.
    """

    def __init__(self, drawing: Drawing, light: Array, ambient: float, diffuse: float) -> None:
        solids, self.outlines, self.ambient, self.diffuse = drawing.solids, drawing.outlines, ambient, diffuse
        axis = solids["b"] - solids["a"]
        reach = np.sqrt((axis**2).sum(axis=1))
        share = (1 - solids["roundness"]) * axis[:, 2] / np.maximum(reach**2, 1e-9)
        m = np.array([0.0, 0, -1]) + share[:, None] * axis
        basis = np.zeros((len(solids), 3, 3))
        basis[:, 0, :2], basis[:, 1, :2] = self.outlines.across, self.outlines.along
        basis[:, 2] = m / np.maximum(np.sqrt((m**2).sum(axis=1)), 1e-6)[:, None]
        self.lit = (basis @ light).tolist()
        self.facing = (basis @ solids["paint_axis"][..., None])[..., 0].tolist()
        self.slope, self.level = solids["paint_slope"].tolist(), solids["paint_level"].tolist()
        ends = self.outlines.deep.sum(axis=1) + self.outlines.length
        self.q_offset = (solids["roundness"] * (2 * self.outlines.deep[:, 0] / ends - 1)).tolist()
        self.q_slope = (solids["roundness"] * 2 * self.outlines.length / ends).tolist()
        self.texels = np.stack([1.5 * solids["radii_a"].max(axis=1), reach]).T * solids["texels"][:, None]
        self.texture = solids["texture"].tolist()
        self.palette = solids["colours"].astype(np.float32)

    def colours(self, i: int, x: Floats, y: Floats) -> Floats:
        """RGB (3, n) of solid ``i`` at the buffer pixels x, y (n,)."""
        s, t = self.outlines.locate(i, x, y)
        q = self.q_offset[i] + self.q_slope[i] * t
        c = np.sqrt(np.maximum(1 - s * s - q * q, 0))
        # The origin of the texture is arbitrary; the colours give one without another random draw.
        ground, pattern, paint = self.palette[i]
        origin = int(ground.sum() * 5)
        across, along = self.texels[i].tolist()
        u, v = ((w.astype(np.int32) + origin) & (TILE - 1) for w in (s * across, t * along))
        cell = v * TILE + u
        a, b, d = self.lit[i]
        bright = self.ambient + self.diffuse * np.maximum(s * a + q * b + c * d, 0)
        bright *= (0.82 + 0.18 * c) * folds().take(cell)
        colour = np.repeat(ground[:, None], len(x), axis=1)
        if self.texture[i]:
            colour += (pattern - ground)[:, None] * cloth_bank()[self.texture[i]].take(cell)
        a, b, d = self.facing[i]
        np.copyto(colour, paint[:, None], where=s * a + q * b + c * d + t * self.slope[i] > self.level[i])
        return np.minimum(colour * bright, 255)
