"""Pictures that are not drawn again, because nothing in them moved, are those that would have been drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from origin.avatar import Animator, Pose, Presence
from origin.avatar.faceunits import weights
from origin.avatar.stillness import SEEN_PX
from origin.clock import FRAME_SAMPLES
from origin.faces import open_renderer
from origin.stage import MOST_HELD

pytestmark = [pytest.mark.timeout(180)]


@pytest.mark.slow
def test_of_a_silent_avatar_half_the_pictures_are_drawn_and_nobody_can_tell() -> None:
    renderer = open_renderer("ava")
    animator = Animator(5)
    animator.state(Presence.IDLE, 0)
    last: tuple[int, Pose] | None = None
    held = np.zeros(0)
    nearness_db = []
    for frame in range(150):
        pose = animator.pose(frame * FRAME_SAMPLES + FRAME_SAMPLES // 2)
        picture = renderer.render(pose).astype(np.float32)
        if last is None or frame - last[0] > MOST_HELD or renderer.travel_px(last[1], pose) >= SEEN_PX:
            last, held = (frame, pose), picture
        else:
            error = float(np.square(picture - held).mean())
            nearness_db.append(10 * np.log10(255**2 / max(error, 1e-6)))
    assert len(nearness_db) > 50
    assert min(nearness_db) > 44, "an encoder at crf 26 changes them more"


def test_what_can_be_seen_is_more_than_a_quarter_of_a_pixel() -> None:
    travel_px = open_renderer("ava").travel_px
    rest = Pose()
    assert travel_px(rest, rest) == 0
    for seen in (
        replace(rest, weights=weights(eyeBlinkLeft=0.1)),
        replace(rest, weights=weights(jawOpen=0.05)),
        replace(rest, gaze=(0.03, 0.0)),
        replace(rest, head=(0.005, 0.0, 0.0)),
        replace(rest, breath=0.5),
    ):
        assert travel_px(rest, seen) > SEEN_PX
    assert travel_px(rest, replace(rest, head=(0.0005, 0.0, 0.0))) < SEEN_PX
