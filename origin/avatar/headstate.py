"""From a pose to the numbers that kernels read: head rotation, eyes, gaze, light in the mouth, breath."""

from __future__ import annotations

import numpy as np

from origin.avatar.camera import Array, Camera, unit
from origin.avatar.faceunits import UNIT
from origin.avatar.person import Floats, Traits
from origin.avatar.pose import Pose

CONVERGENCE = 0.035
"""Radians by which each eye turns inwards, as at a camera at talking distance."""
BREATH_LIFT = 0.010
"""How far a full breath lifts the head, decimetres (about 1.3 pixels at 480 lines)."""

_JAW, _UPPER, _FUNNEL = UNIT["jawOpen"], UNIT["mouthUpperUpLeft"], UNIT["mouthFunnel"]


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Head rotation (3, 3): roll, then pitch, then yaw."""
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def head_rows(pose: Pose, traits: Traits, camera: Camera, out: Floats) -> None:
    """Writes the head state (10, 3) of a clamped pose into `out`; posing.py names the rows."""
    turn = rotation(*pose.head)
    pivot = np.asarray(traits.pivot)
    lift = pose.breath * BREATH_LIFT
    eyes = [
        (np.asarray(e) - pivot) @ turn.T + pivot + [0, lift, 0] for e in (traits.eye_left, traits.eye_right)
    ]
    toward = unit(camera.position - (eyes[0] + eyes[1]) / 2) + np.array([pose.gaze[0], pose.gaze[1], 0.0])
    look = unit(unit(toward) * 0.8 + turn[:, 2] * 0.2)
    inward = turn @ [CONVERGENCE, 0.0, 0.0]
    w = pose.weights
    light = float(np.clip(0.42 + 2.2 * w[_JAW] + 1.7 * w[_UPPER] - 0.55 * w[_FUNNEL], 0.0, 1.0))
    out[:3] = turn
    out[3] = pivot
    out[4], out[5] = eyes
    out[6], out[7] = unit(look + inward), unit(look - inward)
    out[8] = turn[:, 1]
    out[9] = (light, float(w[_JAW]), lift)
