"""Body proportions and forward kinematics: joint angles of N persons -> 3-D joint positions.

Frames are right-handed. Body: x to the person's own LEFT, y up along the trunk, z to the front. World: y up, ground at
y = 0, metres. All sizes below are fractions of the stature of an adult.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatpose.keypoints import COCO17

Array = NDArray[np.float64]

LABELLED = (*COCO17.names, "head_top", "neck", "thorax", "pelvis")
"""Joints that some benchmark annotates: COCO's 17 and what MPII and CrowdPose need besides."""
_EXTRA = ("waist", "skull_lo", "skull_hi", "bridge", "left_mouth", "right_mouth", "hair_lo", "brim_in", "brim_out",
          "pack_hi", "pack_lo", "left_hand", "right_hand", "left_heel", "right_heel", "left_toe", "right_toe",
          "left_held", "right_held", "hem")
JOINTS = (*LABELLED, *_EXTRA)
INDEX = {name: i for i, name in enumerate(JOINTS)}


@dataclass(frozen=True)
class Bodies:
    """Proportions of N persons; every field (N,), lengths in metres.

    ``stature`` also scales thickness; ``head`` multiplies head size (children), ``girth`` all widths, ``legs`` and
    ``arms`` the length of the limbs, ``shoulders`` and ``hips`` the half width of those.
    """

    stature: Array
    girth: Array
    head: Array
    legs: Array
    arms: Array
    shoulders: Array
    hips: Array


def sample_bodies(rng: np.random.Generator, count: int) -> Bodies:
    """Children to adults, thin to wide."""
    child = rng.random(count) < 0.2
    stature = np.where(child, rng.uniform(0.9, 1.5, count), rng.normal(1.7, 0.1, count).clip(1.45, 2.0))
    youth = ((1.6 - stature) / 0.7).clip(0, 1)
    girth = rng.normal(1.1, 0.16, count).clip(0.8, 1.6) * (1 + 0.15 * youth)
    return Bodies(
        stature=stature, girth=girth, head=(1 + 0.4 * youth) * rng.normal(1, 0.05, count),
        legs=(1 - 0.14 * youth) * rng.normal(1, 0.05, count), arms=(1 - 0.06 * youth) * rng.normal(1, 0.05, count),
        shoulders=0.112 * rng.normal(1, 0.08, count) * girth**0.4, hips=0.066 * rng.normal(1, 0.08, count) * girth**0.5)


def rot_x(angle: Array | float) -> Array:
    """Rotation matrices (..., 3, 3) about x; positive takes up to the front."""
    return _rotation(angle, 1, 2)


def rot_y(angle: Array | float) -> Array:
    """Rotation about y; positive takes the front to the left."""
    return _rotation(angle, 2, 0)


def rot_z(angle: Array | float) -> Array:
    """Rotation about z; positive takes left to up."""
    return _rotation(angle, 0, 1)


def _rotation(angle: Array | float, i: int, j: int) -> Array:
    angle = np.asarray(angle, dtype=np.float64)
    out = np.zeros((*angle.shape, 3, 3))
    out[..., 3 - i - j, 3 - i - j] = 1
    cos, sin = np.cos(angle), np.sin(angle)
    out[..., i, i] = out[..., j, j] = cos
    out[..., j, i], out[..., i, j] = sin, -sin
    return out


def swing(elevation: Array, azimuth: Array, twist: Array) -> Array:
    """Ball joint of both sides: (N, 2) angles [left, right] -> (N, 2, 3, 3).

    ``elevation`` lifts the limb from hanging (0) through level (90 degrees) to overhead (180) in the vertical plane
    ``azimuth`` (0 front, 90 outward, negative across the body); ``twist`` turns the hinge below it, outward positive.
    """
    side = np.array([1.0, -1.0])
    return rot_y(side * azimuth) @ rot_x(-elevation) @ rot_y(side * (twist - azimuth))


def pose_joints(body: Bodies, pose: dict[str, Array], held: Array) -> tuple[Array, dict[str, Array]]:
    """Joint positions (N, len(JOINTS), 3) with the lowest point on the ground, and the trunk's rotations (N, 3, 3).

    Args:
        body: Proportions.
        pose: Joint angles in radians as sampled by :func:`flatpose.data.synthetic.poses.sample_poses`.
        held: (N,) length of what the hands hold, in statures.
    """
    root = rot_y(pose["yaw"]) @ rot_x(pose["pitch"]) @ rot_z(pose["roll"]) @ rot_y(pose["spin"])
    chest = root @ rot_x(pose["spine"]) @ rot_z(pose["spine_side"]) @ rot_y(pose["spine_twist"])
    head = chest @ rot_y(pose["head_yaw"]) @ rot_x(pose["neck"]) @ rot_z(pose["head_tilt"])
    at = _trunk(body, root, chest) | _legs(body, pose, root)
    at |= _head(body, head, at["thorax"] + _offset(0.5 * (chest + head), 0, 0.045, 0.005))
    at |= _arms(body, pose, chest, at["waist"], held)
    at["hem"] = 0.4 * at["pelvis"] + 0.3 * (at["left_knee"] + at["right_knee"])
    joints = np.stack([at[name] for name in JOINTS], axis=1) * body.stature[:, None, None]
    lowest = joints[..., 1].min(axis=1) - 0.015 * body.stature
    joints[..., 1] += (pose["lift"] - lowest)[:, None]
    return joints, {"root": root, "chest": chest, "head": head}


def _offset(rotation: Array, x: Array | float, y: Array | float, z: Array | float) -> Array:
    """``rotation @ (x, y, z)`` for broadcastable x, y, z."""
    x, y, z = (v[..., None] if isinstance(v, np.ndarray) else v for v in (x, y, z))
    return rotation[..., 0] * x + rotation[..., 1] * y + rotation[..., 2] * z


def _sides(name: str, both: Array) -> dict[str, Array]:
    """(N, 2, 3) -> the left and the right joint."""
    return {f"left_{name}": both[:, 0], f"right_{name}": both[:, 1]}


def _trunk(body: Bodies, root: Array, chest: Array) -> dict[str, Array]:
    pelvis = np.zeros((len(root), 3))
    waist = _offset(root, 0, 0.105, 0)
    thorax = waist + _offset(chest, 0, 0.185, 0)
    depth = -0.075 * body.girth
    return {"pelvis": pelvis, "waist": waist, "thorax": thorax,
            "pack_hi": waist + _offset(chest, 0, 0.15, depth - 0.02),
            "pack_lo": waist + _offset(chest, 0, 0.0, depth - 0.03)}


# Relative to the upper end of the neck, in the head's frame. Face joints lie on the surface of the skull, so that
# turning the head hides them.
_HEAD = {"neck": (0, 0, 0), "head_top": (0, .132, 0), "skull_lo": (0, .047, .012), "skull_hi": (0, .078, .004),
         "nose": (0, .050, .078), "bridge": (0, .069, .066), "hair_lo": (0, -.015, -.05), "brim_in": (0, .092, .045),
         "brim_out": (0, .086, .100), "left_eye": (.021, .068, .063), "right_eye": (-.021, .068, .063),
         "left_ear": (.053, .058, -.002), "right_ear": (-.053, .058, -.002), "left_mouth": (.013, .030, .062),
         "right_mouth": (-.013, .030, .062)}


def _head(body: Bodies, head: Array, neck: Array) -> dict[str, Array]:
    points = neck[:, None] + body.head[:, None, None] * (np.array(list(_HEAD.values())) @ np.swapaxes(head, 1, 2))
    return {name: points[:, i] for i, name in enumerate(_HEAD)}


def _arms(body: Bodies, pose: dict[str, Array], chest: Array, waist: Array, held: Array) -> dict[str, Array]:
    """Raising an arm above the shoulder line lifts the shoulder with it."""
    upper = chest[:, None] @ swing(pose["arm"], pose["arm_azimuth"], pose["arm_twist"])
    lower = upper @ rot_x(-pose["elbow"])
    shrug = 0.03 * ((pose["arm"] - 1.0) / 2).clip(0, 1)
    half = body.shoulders[:, None] * np.array([1.0, -1.0])
    length = body.arms[:, None]
    shoulder = waist[:, None] + _offset(chest[:, None], half * (1 - 2 * shrug), 0.172 + shrug, 0)
    elbow = shoulder + _offset(upper, 0, -0.172 * length, 0)
    wrist = elbow + _offset(lower, 0, -0.148 * length, 0)
    hand = wrist + _offset(lower @ rot_x(-pose["wrist"]), 0, -0.07 * length, 0)
    out = {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": hand,
           "held": hand + _offset(lower, 0, -0.1 * held[:, None], held[:, None])}
    return {k: v for name, both in out.items() for k, v in _sides(name, both).items()}


def _legs(body: Bodies, pose: dict[str, Array], root: Array) -> dict[str, Array]:
    thigh = root[:, None] @ swing(pose["hip"], pose["hip_azimuth"], pose["hip_twist"])
    shin = thigh @ rot_x(pose["knee"])
    foot = shin @ rot_x(pose["ankle"])
    half = body.hips[:, None] * np.array([1.0, -1.0])
    length = body.legs[:, None]
    hip = _offset(root[:, None], half, -0.01, 0)
    knee = hip + _offset(thigh, 0, -0.238 * length, 0)
    ankle = knee + _offset(shin, 0, -0.236 * length, 0)
    out = {"hip": hip, "knee": knee, "ankle": ankle, "heel": ankle + _offset(foot, 0, -0.022, -0.018),
           "toe": ankle + _offset(foot, 0, -0.03, 0.095)}
    return {k: v for name, both in out.items() for k, v in _sides(name, both).items()}
