"""The avatar: a person drawn in real time. Animator (sans-IO) -> Pose -> Renderer -> I420.

Light imports only; the renderer is `origin.avatar.renderer`, a shipped person `origin.avatar.person.load`.
"""

from __future__ import annotations

from origin.avatar.animator import Animator, Presence
from origin.avatar.pose import Pose
from speech.marks import SAMPLE_RATE, VISEMES, VisemeMark

__all__ = ["SAMPLE_RATE", "VISEMES", "Animator", "Pose", "Presence", "VisemeMark"]
