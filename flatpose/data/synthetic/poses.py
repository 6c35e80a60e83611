"""Plausible poses: a lower body and an upper body, each drawn around a template and clipped to joint limits.

The tables are in degrees, the sampled poses in radians; :func:`flatpose.data.synthetic.skeleton.swing` defines the
angles of the limbs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flatpose.data.synthetic.levels import Level

Array = NDArray[np.float64]

# name: weight, pitch of the trunk, hip elevation (left, right), hip azimuth, knee bend, standard deviation
_LOWER = {
    "stand": (5.0, 0, 5, 5, 75, 75, 4, 4, 4),
    "weight on one leg": (2.0, 0, 2, 14, 80, 35, 2, 28, 6),
    "walk": (4.0, 3, 28, -18, 5, 5, 12, 28, 8),
    "run": (3.0, 14, 62, -22, 5, 5, 85, 60, 14),
    "straddle": (1.0, 0, 28, 28, 88, 88, 8, 8, 8),
    "lunge": (1.5, 8, 70, -30, 8, 8, 80, 15, 12),
    "kick": (0.8, -8, 75, -5, 10, 10, 18, 10, 12),
    "sit": (4.0, -8, 86, 86, 12, 12, 85, 85, 10),
    "sit, legs stretched": (1.0, -15, 80, 80, 10, 10, 12, 15, 12),
    "sit cross-legged": (0.7, 0, 85, 85, 55, 55, 125, 125, 8),
    "squat": (1.3, 25, 112, 112, 22, 22, 125, 125, 10),
    "kneel": (1.2, 5, 88, 3, 10, 10, 92, 95, 10),
    "knees bent": (1.5, 25, 55, 55, 18, 18, 60, 60, 14),
    "bend down": (1.5, 55, 55, 52, 8, 8, 8, 12, 9),
    "lie": (1.3, -88, 12, 8, 15, 15, 22, 22, 16),
    "lie on the front": (0.5, 84, -2, -2, 15, 15, 15, 22, 14),
    "anything": (1.2, 0, 35, 35, 30, 30, 50, 50, 40),
}
# name: weight, bend of the spine, arm elevation, azimuth, twist, elbow bend (left, right each), standard deviation
_UPPER = {
    "hang": (4.0, 3, 10, 10, 60, 60, 0, 0, 15, 15, 8),
    "swing": (3.0, 4, 32, -28, 10, 10, 0, 0, 45, 40, 12),
    "one up": (2.0, 0, 150, 12, 50, 50, 0, 0, 25, 20, 18),
    "both up": (1.5, -4, 155, 155, 55, 55, 0, 0, 25, 25, 18),
    "hands on hips": (1.5, 0, 42, 42, 100, 100, -80, -80, 95, 95, 10),
    "arms out": (1.0, 0, 85, 85, 88, 88, 0, 0, 15, 15, 18),
    "carry": (2.0, 3, 35, 35, 15, 15, -15, -15, 85, 85, 12),
    "throw": (1.0, 0, 98, 40, 125, 20, 0, 0, 90, 30, 18),
    "crossed": (1.0, 5, 38, 38, 15, 15, -70, -70, 100, 100, 8),
    "hand at the head": (2.0, 5, 60, 15, 40, 60, -30, 0, 138, 20, 12),
    "reach": (2.0, 8, 90, 75, 5, 15, 0, 0, 12, 15, 15),
    "behind the back": (0.6, 0, -22, -22, 5, 5, -55, -55, 55, 55, 8),
    "at a desk": (1.5, 12, 45, 45, 25, 25, -25, -25, 70, 70, 10),
    "anything": (2.0, 5, 70, 70, 45, 45, -10, -10, 60, 60, 45),
}
_LIMITS = {"hip": (-40, 125), "hip_azimuth": (-15, 92), "hip_twist": (-30, 45), "knee": (0, 150), "ankle": (-45, 25),
           "arm": (-50, 178), "arm_azimuth": (-35, 140), "arm_twist": (-90, 60), "elbow": (0, 148), "wrist": (-50, 60),
           "spine": (-22, 55), "spine_side": (-25, 25), "spine_twist": (-35, 35), "neck": (-35, 42),
           "head_yaw": (-68, 68), "head_tilt": (-22, 22)}


def _draw(rng: np.random.Generator, table: Mapping[str, tuple[float, ...]], names: tuple[str, ...],
          count: int) -> tuple[Array, NDArray[np.str_]]:
    """``count`` templates drawn by weight: their rows without the weight, and their names."""
    kept = np.array(names or tuple(table))
    rows = np.array([table[name] for name in kept])
    index = rng.choice(len(kept), count, p=rows[:, 0] / rows[:, 0].sum())
    return rows[index, 1:], kept[index]


def sample_poses(rng: np.random.Generator, count: int, level: Level) -> dict[str, Array]:
    """Joint angles in radians of ``count`` people.

    Returns:
        Per angle (N,), or (N, 2) [left, right] for limbs. ``yaw`` is the direction faced (0 is towards the camera) and
        ``lift`` the height in metres of the lowest point above the ground.
    """
    low, name = _draw(rng, _LOWER, level.lower, count)
    up, _ = _draw(rng, _UPPER, level.upper, count)
    noise = rng.normal(size=(count, 30))
    legs = low[:, 1:7].reshape(count, 3, 2) + noise[:, 0:6].reshape(count, 3, 2) * low[:, 7, None, None]
    arms = up[:, 1:9].reshape(count, 4, 2) + noise[:, 6:14].reshape(count, 4, 2) * up[:, 9, None, None]
    # The templates are written for one side; legs and arms are mirrored independently.
    for limbs in (legs, arms):
        mirror = rng.random(count) < 0.5
        limbs[mirror] = limbs[mirror][..., ::-1]
    lying = np.char.startswith(name, "lie")
    pitch = low[:, 0] + noise[:, 14] * np.where(lying, 4, 5)
    spine = up[:, 0] + noise[:, 15] * np.where(lying, 4, 8)
    # Neck and ankles compensate for most of the bend of the trunk, so that people look ahead and stand on their soles.
    neck = np.where(lying, 0, -0.6 * (pitch + spine)) + noise[:, 16] * 12
    ankle = 0.8 * (legs[:, 0] - legs[:, 2] - pitch[:, None]) + noise[:, 17:19] * 7
    angles = {
        "hip": legs[:, 0], "hip_azimuth": legs[:, 1], "knee": legs[:, 2], "ankle": ankle,
        "hip_twist": 0.5 * np.where(np.abs(legs[:, 0]) > 40, legs[:, 1], 0) + 12 + noise[:, 19:21] * 8,
        "arm": arms[:, 0], "arm_azimuth": arms[:, 1], "arm_twist": arms[:, 2], "elbow": arms[:, 3],
        "wrist": noise[:, 21:23] * 20 + 8, "spine": spine, "spine_side": noise[:, 23] * 6,
        "spine_twist": noise[:, 24] * 10, "neck": neck, "head_yaw": noise[:, 25] * 28, "head_tilt": noise[:, 26] * 7}
    pose = {angle: np.deg2rad(value.clip(*_LIMITS[angle])) for angle, value in angles.items()}
    facing = rng.random(count) < level.facing
    pose["yaw"] = np.where(facing, noise[:, 27] * 0.5, rng.uniform(-np.pi, np.pi, count))
    pose["pitch"], pose["roll"] = np.deg2rad(pitch), np.deg2rad(noise[:, 28] * 4)
    pose["spin"] = np.where(lying, noise[:, 29] * 0.9, 0.0)
    jumping = np.isin(name, ("run", "knees bent", "kick", "anything")) & (rng.random(count) < 0.4)
    pose["lift"] = np.where(jumping, rng.uniform(0.05, 0.5, count), 0.0)
    return pose
