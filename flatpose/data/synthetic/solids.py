"""People and objects are drawn as tapered capsules ("solids"): projection, filling from far to near, and shading."""

from __future__ import annotations

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
    ("owner", int), ("roundness", float), ("colours", np.float32, (3, 3)), ("texture", int),
    ("texels", float), ("paint_axis", float, 3), ("paint_slope", float), ("paint_level", float)])
"""A solid in the camera frame, in metres.

It runs from ``a`` to ``b``; its cross-sections are ellipsoids with half axes ``radii_a`` and ``radii_b`` along the
columns of ``frame``. ``owner`` is the person that it belongs to, -1 for objects. ``roundness`` (0 cylinder, 1 ball)
bends the normal along the axis. ``colours`` are ground, pattern and paint (RGB, 0..255); ``texture`` is the index of
the pattern, with ``texels`` per metre. Paint covers the points where
``normal . paint_axis + paint_slope * t > paint_level``, with t from 0 at ``a`` to 1 at ``b``.
"""
_CAP = np.linspace(0.5, 1.5, 9) * np.pi


def to_buffer(pixels: Array) -> Array:
    """Image pixels (..., 2) -> buffer pixels; both count from the centre of the first one."""
    return (pixels + 0.5) * SCALE - 0.5


class Drawing:
    """M solids in front of a camera, sorted by depth and filled from far to near.

    Attributes:
        solids: (M,) sorted.
        ids: (SCALE * H, SCALE * W) buffer: 0 is the backdrop, i + 1 is solid i.
    """

    def __init__(self, solids: NDArray[np.void], camera: Camera) -> None:
        solids = solids[np.minimum(solids["a"][:, 2], solids["b"][:, 2]) > NEAR]
        self.solids = solids[np.argsort(-solids["a"][:, 2] - solids["b"][:, 2], kind="stable")]
        self._project(camera)
        self.ids = np.zeros((camera.size[1] * SCALE, camera.size[0] * SCALE), np.int16)
        for i, polygon in enumerate(self._polygons()):
            cv2.fillConvexPoly(self.ids, polygon, i + 1, shift=4)

    def surface_depth(self, ids: NDArray, x: NDArray, y: NDArray) -> Array:
        """Depth z of the visible surface at buffer pixels where solid ``ids - 1`` is on top."""
        k = ids - 1
        s, t = self._locate(k, x, y)
        t = t.clip(0, 1)
        radius_a, radius_b = self.solids["radii_a"][k].min(axis=-1), self.solids["radii_b"][k].min(axis=-1)
        a, b = self.solids["a"][k, 2], self.solids["b"][k, 2]
        return a + (b - a) * t - (radius_a + (radius_b - radius_a) * t) * np.sqrt(1 - s**2)

    def shade(self, light: Array, ambient: float, diffuse: float) -> NDArray[np.uint8]:
        """Antialiased colours (H, W, 4) of all solids in image pixels: RGB times coverage, and coverage.

        Args:
            light: (3,) unit vector towards the light, camera frame.
            ambient: Brightness without direct light.
            diffuse: Brightness added where a surface faces the light.
        """
        height, width = self.ids.shape
        flat = self.ids.reshape(-1)
        pixels = np.flatnonzero(flat)
        pixels = pixels[np.argsort(flat[pixels], kind="stable")]
        solids, starts = np.unique(flat[pixels], return_index=True)
        rgba = np.zeros((4, flat.size), np.uint8)
        rgba[3, pixels] = 255
        bases = self._normal_bases()
        for solid, part in zip(solids.tolist(), np.split(pixels, starts[1:]), strict=False):
            y, x = (n.astype(np.float32) for n in np.divmod(part.astype(np.int32), np.int32(width)))
            colour, facing = self._colours(solid - 1, bases[solid - 1], light, x, y)
            rgba[:3, part] = np.minimum(colour * (ambient + diffuse * facing), 255)
        buffer = cv2.merge(list(rgba.reshape(4, height, width)))
        size = width // SCALE, height // SCALE
        return np.asarray(cv2.resize(buffer, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _project(self, camera: Camera) -> None:
        """Outlines in buffer pixels: start and length of the axis, unit vectors and half extents along and across."""
        solids = self.solids
        ends = [to_buffer(camera.project(solids[end])) for end in ("a", "b")]
        span = ends[1] - ends[0]
        length = np.hypot(span[:, 0], span[:, 1])
        along = np.where(length[:, None] > 1e-6, span / np.maximum(length, 1e-6)[:, None], [0.0, 1.0])
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        radii = np.stack([solids["radii_a"], solids["radii_b"]], axis=1)
        zoom = camera.focal * SCALE / np.stack([solids["a"][:, 2], solids["b"][:, 2]], axis=1)
        deep, wide = (np.sqrt((((solids["frame"][:, :2] * direction[..., None]).sum(axis=1)[:, None] * radii) ** 2)
                              .sum(axis=-1)) * zoom for direction in (along, across))
        self._start, self._length, self._along, self._across, self._deep, self._wide = (
            value.astype(np.float32) for value in (ends[0], length, along, across, deep, wide))

    def _polygons(self) -> NDArray[np.int32]:
        """Closed outlines (M, V, 2) in sixteenths of a buffer pixel: half an ellipse around each end."""
        caps = []
        for end, sign in ((0, 1), (1, -1)):
            center = self._start + end * self._along * self._length[:, None]
            along = np.cos(_CAP)[:, None] * (self._along * self._deep[:, end, None])[:, None]
            across = np.sin(_CAP)[:, None] * (self._across * self._wide[:, end, None])[:, None]
            caps.append(center[:, None] + sign * (along + across))
        return np.round(np.concatenate(caps, axis=1) * 16).astype(np.int32)

    def _locate(self, i: NDArray | int, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        """Buffer pixels (n,) relative to solids ``i``: s across (-1..1) and t along the axis (0 at a, 1 at b)."""
        dx, dy = x - self._start[i, ..., 0], y - self._start[i, ..., 1]
        t = (dx * self._along[i, ..., 0] + dy * self._along[i, ..., 1]) / np.maximum(self._length[i], 1e-3)
        width = self._wide[i, ..., 0] + (self._wide[i, ..., 1] - self._wide[i, ..., 0]) * t.clip(0, 1)
        s = (dx * self._across[i, ..., 0] + dy * self._across[i, ..., 1]) / np.maximum(width, 0.3)
        return s.clip(-1, 1), t

    def _normal_bases(self) -> Array:
        """The vectors n, k and m (M, 3, 3) of which every normal is the sum s n + q k + c m.

        n and k are the image directions across and along the axis, s and q the position in these directions (-1..1),
        and c = sqrt(1 - s^2 - q^2). m is the view direction, made perpendicular to the axis as far as the solid is a
        cylinder.
        """
        axis = self.solids["b"] - self.solids["a"]
        share = (1 - self.solids["roundness"]) * axis[:, 2] / np.maximum((axis**2).sum(axis=1), 1e-9)
        m = np.array([0.0, 0, -1]) + share[:, None] * axis
        bases = np.zeros((len(axis), 3, 3))
        bases[:, 0, :2], bases[:, 1, :2] = self._across, self._along
        bases[:, 2] = m / np.maximum(np.sqrt((m**2).sum(axis=1)), 1e-6)[:, None]
        return bases

    def _colours(self, i: int, basis: Array, light: Array, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Unlit RGB (3, n) of solid ``i`` at buffer pixels (n,), and how far each point faces the light (n,)."""
        solid, (before, behind) = self.solids[i], self._deep[i]
        s, t = self._locate(i, x, y)
        whole = before + self._length[i] + behind
        q = np.float32(solid["roundness"]) * (2 * (before + self._length[i] * t) / whole - 1)
        c = np.sqrt(np.maximum(1 - s * s - q * q, 0))
        ground, pattern, paint = solid["colours"]
        # The origin of the texture is arbitrary; the colours give one without another random draw.
        origin, length = int(ground.sum() * 5), float(np.linalg.norm(solid["b"] - solid["a"]))
        texels = np.array([1.5 * solid["radii_a"].max(), length], np.float32) * np.float32(solid["texels"])
        u, v = ((w.astype(np.int32) + origin) & (TILE - 1) for w in (s * texels[0], t * texels[1]))
        colour = np.repeat(ground[:, None], len(x), axis=1)
        if solid["texture"]:
            colour += (pattern - ground)[:, None] * cloth_bank()[solid["texture"]].take(v * TILE + u)
        a, b, d = (basis @ solid["paint_axis"]).tolist()
        painted = s * a + q * b + c * d + t * float(solid["paint_slope"]) > solid["paint_level"]
        np.copyto(colour, paint[:, None], where=painted)
        a, b, d = (basis @ light).tolist()
        return colour * ((0.82 + 0.18 * c) * folds().take(v * TILE + u)), np.maximum(s * a + q * b + c * d, 0)
