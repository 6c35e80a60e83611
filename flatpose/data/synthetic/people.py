"""Persons as solids: which limb lies between which joints, how thick, and what it wears.

Which side is left shows in the shape alone: face, feet, chest and back. Colours are drawn per garment, and where a
sleeve or trouser leg differs from the other the side is chosen by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.camera import Camera
from flatpose.data.synthetic.poses import sample_poses
from flatpose.data.synthetic.skeleton import INDEX, Bodies, pose_joints, sample_bodies
from flatpose.data.synthetic.solids import Solids
from flatpose.data.synthetic.textures import cloth_bank

Array = NDArray[np.float64]

# garment slots; the first eight are cloth and may carry a pattern
_SLOTS = ("shirt", "left_sleeve", "right_sleeve", "trousers", "left_leg", "right_leg", "pack", "skirt",
          "shoe", "held", "skin", "feature", "eye", "mouth", "hair", "hat")
_SLOT = {name: i for i, name in enumerate(_SLOTS)}
_CLOTH = 8
_FRAMES = ("root", "chest", "head")

# name, from, to, half axes at both ends (x, y, z: across, along, front) in statures, frame, roundness, slot, scaled by
_TRUNK = (
    ("hips", "pelvis", "waist", (.094, .055, .068), (.080, .030, .058), "root", .35, "trousers", "girth"),
    ("chest", "waist", "thorax", (.080, .030, .058), (.097, .018, .060), "chest", .30, "shirt", "girth"),
    ("yoke", "left_shoulder", "right_shoulder", (.040, .040, .040), (.040, .040, .040), "chest", .35, "shirt", "girth"),
    ("neck", "thorax", "neck", (.033, .015, .033), (.030, .015, .030), "chest", .1, "skin", "head"),
    ("skull", "skull_lo", "skull_hi", (.043, .043, .056), (.054, .056, .068), "head", .97, "skin", "head"),
    ("nose", "bridge", "nose", (.005, .005, .005), (.010, .010, .010), "head", .5, "feature", "head"),
    ("mouth", "left_mouth", "right_mouth", (.005, .005, .005), (.005, .005, .005), "head", .2, "mouth", "head"),
    ("left_eye", "left_eye", "left_eye", (.009, .007, .006), (.009, .007, .006), "head", .5, "eye", "head"),
    ("right_eye", "right_eye", "right_eye", (.009, .007, .006), (.009, .007, .006), "head", .5, "eye", "head"),
    ("left_ear", "left_ear", "left_ear", (.007, .018, .012), (.007, .018, .012), "head", .5, "feature", "head"),
    ("right_ear", "right_ear", "right_ear", (.007, .018, .012), (.007, .018, .012), "head", .5, "feature", "head"),
    ("long_hair", "skull_hi", "hair_lo", (.052, .03, .045), (.042, .02, .022), "head", .3, "hair", "head"),
    ("brim", "brim_in", "brim_out", (.050, .006, .03), (.040, .005, .02), "head", .2, "hat", "head"),
    ("pack", "pack_hi", "pack_lo", (.080, .030, .042), (.085, .030, .050), "chest", .3, "pack", "girth"),
    ("skirt", "pelvis", "hem", (.090, .03, .072), (.128, .015, .112), "root", .1, "skirt", "girth"),
)
_LIMBS = (
    ("upper_arm", "shoulder", "elbow", .037, .028, "sleeve", "girth"),
    ("lower_arm", "elbow", "wrist", .028, .019, "sleeve", "girth"),
    ("hand", "wrist", "hand", .019, .020, "skin", "girth"),
    ("held", "hand", "held", .014, .018, "held", "one"),
    ("thigh", "hip", "knee", .062, .043, "leg", "girth"),
    ("shin", "knee", "ankle", .042, .026, "leg", "girth"),
    ("foot", "heel", "toe", .028, .024, "shoe", "one"),
)


def _all_parts() -> tuple[tuple, ...]:
    limbs = []
    for side in ("left", "right"):
        for name, a, b, ra, rb, slot, scale in _LIMBS:
            slot = f"{side}_{slot}" if slot in ("sleeve", "leg") else slot
            names = f"{side}_{name}", f"{side}_{a}", f"{side}_{b}"
            limbs.append((*names, (ra,) * 3, (rb,) * 3, "root", .3, slot, scale))
    return (*_TRUNK, *limbs)


_PARTS = _all_parts()
PART_NAMES = tuple(p[0] for p in _PARTS)
_PART = {name: i for i, name in enumerate(PART_NAMES)}
_A, _B = (np.array([INDEX[p[i]] for p in _PARTS]) for i in (1, 2))
_RADII_A, _RADII_B = (np.array([p[i] for p in _PARTS]) for i in (3, 4))
_FRAME = np.array([_FRAMES.index(p[5]) for p in _PARTS])
_ROUNDNESS = np.array([p[6] for p in _PARTS])
_PART_SLOT = np.array([_SLOT[p[7]] for p in _PARTS])
_SCALE = np.array([("one", "girth", "head").index(p[8]) for p in _PARTS])

_SKIN = np.array([(255, 219, 190), (241, 194, 155), (224, 172, 125), (190, 135, 95), (141, 90, 60),
                  (84, 54, 40)], float)
_HAIR = np.array([(30, 24, 22), (60, 40, 28), (105, 70, 40), (190, 150, 90), (150, 70, 35), (170, 170, 172)], float)


class People:
    """N persons before they are placed.

    Attributes:
        joints: (N, J, 3) in metres, each person standing at its own origin.
        frames: (N, 3, 3, 3) rotations of root, chest and head.
        bodies: Proportions.
    """

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self.bodies: Bodies = sample_bodies(rng, count)
        held = np.where(rng.random(count) < 0.25, rng.uniform(0.03, 0.3, count), 0.0)
        self.joints, frames = pose_joints(self.bodies, sample_poses(rng, count), held)
        self.frames = np.stack([frames[name] for name in _FRAMES], axis=1)
        self.present = self._choose_parts(rng, held > 0)
        self.colours, self.texture, self.texels = _dress(rng, count)
        self.painted_slot, self.paint = self._paint(rng)

    def _choose_parts(self, rng: np.random.Generator, holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
        count = len(holds)
        present = np.ones((count, len(_PARTS)), bool)
        for name, chance in (("long_hair", 0.35), ("brim", 0.2), ("pack", 0.12), ("skirt", 0.3)):
            present[:, _PART[name]] = rng.random(count) < chance
        # A skirt is a cone between the legs; only where they stay together does it look like one.
        knees = self.joints[:, INDEX["left_knee"]] - self.joints[:, INDEX["right_knee"]]
        present[:, _PART["skirt"]] &= np.linalg.norm(knees, axis=1) < 0.2 * self.bodies.stature
        left = rng.random(count) < 0.5
        present[:, _PART["left_held"]] = holds & left
        present[:, _PART["right_held"]] = holds & ~left
        return present

    def _paint(self, rng: np.random.Generator) -> tuple[NDArray, Array]:
        """Second garment of each part and its rule (N, P, 5): direction in the part's frame, slope and level."""
        count = len(self.present)
        slot = np.broadcast_to(_PART_SLOT, (count, len(_PARTS))).copy()
        rule = np.zeros((count, len(_PARTS), 5))
        rule[..., 4] = 9
        sleeves = np.where(rng.random(count) < 0.5, 1.92, rng.uniform(-0.3, 1.4, count))
        legs = np.where(rng.random(count) < 0.65, 1.93, rng.uniform(0.35, 1.6, count))
        for side in ("left", "right"):
            for upper, lower, length in (("upper_arm", "lower_arm", sleeves), ("thigh", "shin", legs)):
                for name, level in ((upper, length), (lower, length - 1)):
                    part = _PART[f"{side}_{name}"]
                    slot[:, part] = _SLOT["skin"]
                    rule[:, part, 3], rule[:, part, 4] = 1, np.where(level <= 0.02, -9, level)
        # Hair is the cap cut off the skull by a tilted plane; a hat sits higher at the back.
        skull = _PART["skull"]
        hat = self.present[:, _PART["brim"]]
        slot[:, skull] = np.where(hat, _SLOT["hat"], _SLOT["hair"])
        rule[:, skull, 1] = np.where(hat, 0.97, 0.72)
        rule[:, skull, 2] = np.where(hat, -0.25, -0.7)
        rule[:, skull, 4] = np.where(hat, 0.3, rng.choice([0.12, 0.2, 0.3, 0.95], count, p=[0.4, 0.3, 0.2, 0.1]))
        # The shirt ends somewhere on the hips, and its front shows a neckline, a placket or an open jacket.
        slot[:, _PART["hips"]] = _SLOT["shirt"]
        rule[:, _PART["hips"], 3], rule[:, _PART["hips"], 4] = 1, rng.uniform(-0.2, 0.95, count)
        style = rng.choice(3, count, p=[0.5, 0.2, 0.3])
        chest = _PART["chest"]
        slot[:, chest] = np.where(style == 0, _SLOT["skin"], _SLOT["feature"])
        slot[style == 2, chest] = _SLOT["pack"]
        rule[:, chest, 2] = 1
        rule[:, chest, 3] = np.where(style == 0, rng.uniform(0.4, 0.8, count), 0.0)
        rule[:, chest, 4] = np.where(style == 0, 0.72 + rule[:, chest, 3], np.where(style == 1, 0.985, 0.9))
        return slot, rule

    def solids(self, camera: Camera, places: Array) -> tuple[Solids, Array]:
        """The persons standing at ``places`` (N, 3): their solids, and their joints (N, J, 3), in the camera frame."""
        view = camera.view(self.joints + places[:, None])
        frames = camera.rotation @ self.frames
        person, part = np.nonzero(self.present)
        stature = self.bodies.stature[person]
        scale = np.stack([np.ones_like(self.bodies.girth), self.bodies.girth, self.bodies.head], axis=1)
        scale = (scale[person, _SCALE[part]] * stature)[:, None]
        frame = frames[person, _FRAME[part]]
        slot, painted = _PART_SLOT[part], self.painted_slot[person, part]
        colours = np.stack([self.colours[person, slot, 0], self.colours[person, slot, 1],
                            self.colours[person, painted, 0]], axis=1)
        rule = self.paint[person, part]
        axis = (frame @ rule[:, :3, None])[..., 0]
        bias = np.where(part == _PART["skirt"], 0.07, 0.0) * stature
        return Solids(
            view[person, _A[part]], view[person, _B[part]], _RADII_A[part] * scale, _RADII_B[part] * scale, frame,
            person, np.zeros(len(part), bool), _ROUNDNESS[part], bias, colours, self.texture[person, slot],
            self.texels[person, slot], axis, rule[:, 3], rule[:, 4]), view


def random_colours(rng: np.random.Generator, shape: tuple[int, ...], vivid: float = 1.0) -> Array:
    """RGB (..., 3) in 0..255 from near grey to saturated."""
    grey = rng.uniform(15, 240, (*shape, 1))
    return (grey + rng.normal(0, 1, (*shape, 3)) * rng.uniform(3, 75 * vivid, (*shape, 1))).clip(4, 252)


def skin_tones(rng: np.random.Generator, count: int) -> Array:
    """(count, 3) RGB between neighbouring tones."""
    return _between(rng, _SKIN, count) * rng.uniform(0.92, 1.05, (count, 1))


def _between(rng: np.random.Generator, palette: Array, count: int) -> Array:
    position = rng.random(count) * (len(palette) - 1.001)
    low = position.astype(int)
    weight = (position - low)[:, None]
    return palette[low] * (1 - weight) + palette[low + 1] * weight


def _dress(rng: np.random.Generator, count: int) -> tuple[Array, NDArray[np.int64], Array]:
    """Colours (N, slots, 2 colours, 3), pattern index (N, slots) and texels per metre (N, slots)."""
    colours = random_colours(rng, (count, len(_SLOTS), 2))
    texture = np.zeros((count, len(_SLOTS)), np.int64)
    texture[:, :_CLOTH] = rng.integers(0, len(cloth_bank()), (count, _CLOTH))
    texture[:, :_CLOTH] *= rng.random((count, _CLOTH)) < 0.65
    skin = skin_tones(rng, count)
    colours[:, _SLOT["skin"]] = skin[:, None]
    colours[:, _SLOT["feature"]] = (skin * [0.9, 0.74, 0.7])[:, None]
    colours[:, _SLOT["mouth"]] = (skin * [0.75, 0.42, 0.42])[:, None]
    colours[:, _SLOT["eye"]] = rng.uniform(10, 55, (count, 1, 3))
    colours[:, _SLOT["hair"]] = (_between(rng, _HAIR, count) * rng.uniform(0.8, 1.2, (count, 1))).clip(4, 245)[:, None]
    for cloth, sides in (("shirt", ("left_sleeve", "right_sleeve")), ("trousers", ("left_leg", "right_leg"))):
        odd = rng.random((count, 2)) < 0.08
        plain = rng.random(count) < 0.15
        for i, side in enumerate(sides):
            same = ~odd[:, i]
            colours[same, _SLOT[side]] = colours[same, _SLOT[cloth]]
            texture[same, _SLOT[side]] = np.where(plain, 0, texture[:, _SLOT[cloth]])[same]
    dress = rng.random(count) < 0.5
    for source, rows in (("shirt", dress), ("trousers", ~dress)):
        colours[rows, _SLOT["skirt"]] = colours[rows, _SLOT[source]]
        texture[rows, _SLOT["skirt"]] = texture[rows, _SLOT[source]]
    texels = np.where(np.arange(len(_SLOTS)) < _CLOTH, rng.uniform(60, 220, (count, len(_SLOTS))), 40.0)
    return colours, texture, texels
