"""The face in time: mouth, lids, head, from marks and the sample clock alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from origin.avatar import SAMPLE_RATE, VISEMES, Animator, Pose, Presence, VisemeMark
from origin.avatar.articulation import LEAD, REST, SHAPES
from origin.avatar.faceunits import FACE_UNITS, UNIT, weights

FRAME = 1920
MS = SAMPLE_RATE // 1000


def opening(pose: Pose) -> float:
    return float(pose.weights[UNIT["jawOpen"]])


def lids(pose: Pose) -> float:
    return float(pose.weights[UNIT["eyeBlinkLeft"]])


def speaking(*marks: tuple[int, int, str], seed: int = 3) -> Animator:
    animator = Animator(seed)
    animator.speak([VisemeMark(a * MS, b * MS, v) for a, b, v in marks], SAMPLE_RATE)
    return animator


def at(milliseconds: float) -> int:
    return SAMPLE_RATE + int(milliseconds * MS)


def test_there_are_52_face_units_and_every_viseme_has_a_shape() -> None:
    assert len(FACE_UNITS) == len(set(FACE_UNITS)) == 52
    assert set(SHAPES) == set(VISEMES)


def test_mouth_opens_for_an_open_vowel_and_rests_without_speech() -> None:
    animator = speaking((0, 240, "aa"))
    assert opening(animator.pose(at(120))) > 0.35
    assert opening(animator.pose(at(-600))) < 0.02
    assert opening(animator.pose(at(900))) < 0.02


@pytest.mark.parametrize("phase", range(0, FRAME, 240))
def test_lips_close_for_p_in_some_video_frame_however_the_frames_fall(phase: int) -> None:
    animator = speaking((0, 160, "aa"), (160, 215, "PP"), (215, 400, "aa"))
    frames = [animator.pose(at(150) + phase + FRAME * k) for k in range(4)]
    assert min(opening(p) for p in frames) < 0.03
    assert max(float(p.weights[UNIT["mouthPressLeft"]]) for p in frames) > 0.25


def test_lower_lip_rolls_to_the_teeth_for_f_between_vowels() -> None:
    animator = speaking((0, 160, "O"), (160, 230, "FF"), (230, 400, "O"))
    pose = animator.pose(at(195) - LEAD)
    assert float(pose.weights[UNIT["mouthRollLower"]]) > 0.4
    assert opening(pose) < 0.1


def test_lips_lead_the_sound_by_forty_milliseconds() -> None:
    animator = speaking((0, 300, "aa"))
    early, middle = animator.pose(at(-40)), animator.pose(at(110))
    assert opening(early) > 0.3 * opening(middle)
    assert LEAD == 40 * MS


def test_neighbours_colour_each_other() -> None:
    after_round = speaking((0, 120, "U"), (120, 180, "DD"), (180, 300, "U")).pose(at(150) - LEAD)
    after_spread = speaking((0, 120, "I"), (120, 180, "DD"), (180, 300, "I")).pose(at(150) - LEAD)
    pucker = UNIT["mouthPucker"]
    assert after_round.weights[pucker] > after_spread.weights[pucker] + 0.1


def test_rounding_mouth_for_oo() -> None:
    pose = speaking((0, 250, "U")).pose(at(125) - LEAD)
    assert float(pose.weights[UNIT["mouthPucker"]]) > 0.4


def test_cut_closes_the_mouth_within_200_ms() -> None:
    animator = speaking((0, 4000, "aa"))
    animator.cut(at(1000))
    assert opening(animator.pose(at(1000))) > 0.2
    assert opening(animator.pose(at(1200))) < 0.02


def test_new_speech_replaces_what_was_planned() -> None:
    animator = speaking((0, 4000, "aa"))
    animator.speak([VisemeMark(0, 300 * MS, "PP")], at(1000))
    assert opening(animator.pose(at(1150))) < 0.03
    assert opening(animator.pose(at(2500))) < 0.02


def test_poses_depend_on_the_clock_only_not_on_what_was_asked_before() -> None:
    a, b = speaking((0, 200, "aa"), (200, 500, "SS")), speaking((0, 200, "aa"), (200, 500, "SS"))
    times = [at(40 * k) for k in range(30)]
    forward = [a.pose(t) for t in times]
    backward = [b.pose(t) for t in reversed(times)][::-1]
    for x, y in zip(forward, backward, strict=True):
        assert np.array_equal(x.weights, y.weights)
        assert (x.head, x.gaze, x.breath) == (y.head, y.gaze, y.breath)


def test_seeds_give_different_lives() -> None:
    a, b = Animator(1), Animator(2)
    assert a.pose(SAMPLE_RATE).head != b.pose(SAMPLE_RATE).head


@pytest.mark.slow
def test_people_blink_ten_to_thirty_times_a_minute_and_fully() -> None:
    animator = Animator(4)
    closed = [lids(animator.pose(FRAME * k)) for k in range(25 * 120)]
    blinks = sum(1 for before, now in itertools.pairwise(closed) if before < 0.5 <= now)
    assert 20 <= blinks <= 60
    assert max(closed) > 0.98
    assert np.mean(np.array(closed) > 0.05) < 0.15


def test_eyes_jump_instead_of_gliding() -> None:
    animator = Animator(6)
    gaze = np.array([animator.pose(FRAME * k).gaze for k in range(25 * 60)])
    step = np.linalg.norm(np.diff(gaze, axis=0), axis=1)
    assert (step < 1e-4).mean() > 0.7
    assert step.max() > 0.02


def test_head_sways_smoothly_within_bounds() -> None:
    animator = Animator(5)
    head = np.array([animator.pose(FRAME * k).head for k in range(25 * 60)])
    assert np.abs(np.diff(head, axis=0)).max() < 0.02
    assert 0.004 < head[:, 0].std() < 0.05
    assert np.abs(head).max() < 0.15


def test_stressed_words_nod_and_lift_the_brows() -> None:
    plain, stressed = speaking((0, 600, "aa")), Animator(3)
    stressed.speak([VisemeMark(0, 600 * MS, "aa")], SAMPLE_RATE, [300 * MS])
    a, b = plain.pose(at(310)), stressed.pose(at(310))
    assert b.head[1] > a.head[1] + 0.01
    assert b.weights[UNIT["browInnerUp"]] > a.weights[UNIT["browInnerUp"]] + 0.1


def test_states_ease_in_over_more_than_120_ms() -> None:
    animator = Animator(8)
    animator.state(Presence.THINKING, SAMPLE_RATE * 10)
    gaze = [animator.pose(SAMPLE_RATE * 10 + MS * t).gaze[1] for t in (0, 60, 120, 900)]
    assert gaze[0] < 0.06
    assert gaze[2] < 0.6 * gaze[3]
    assert gaze[3] > 0.06
    assert animator.presence is Presence.THINKING


def test_a_broken_pose_is_clamped() -> None:
    pose = Pose(
        np.full(52, np.nan, np.float32), (math.nan, 9.0, -math.inf), (1e30, math.nan), math.inf
    ).clamped()
    assert np.array_equal(pose.weights, np.zeros(52, np.float32))
    assert all(math.isfinite(v) and abs(v) <= 0.45 for v in (*pose.head, *pose.gaze, pose.breath))
    assert float(Pose(weights(jawOpen=7.0)).clamped().weights.max()) == 1.0
    with pytest.raises(ValueError, match="52"):
        Pose(np.zeros(51, np.float32)).clamped()


@pytest.mark.parametrize("bad", [(0, 10, "zz", 1.0), (10, 0, "aa", 1.0), (0, 10, "aa", 2.0)])
def test_a_broken_mark_is_refused(bad: tuple[int, int, str, float]) -> None:
    with pytest.raises(ValueError, match="viseme"):
        VisemeMark(*bad)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 100_000), st.integers(0, 20_000), st.sampled_from(VISEMES), st.floats(0, 1)),
        max_size=30,
    ),
    st.integers(0, 200_000),
)
def test_any_marks_give_a_finite_bounded_pose(spans: list[tuple[int, int, str, float]], sample: int) -> None:
    animator = Animator(9)
    animator.speak([VisemeMark(s, s + n, v, w) for s, n, v, w in spans], 0)
    pose = animator.pose(sample)
    assert np.isfinite(pose.weights).all()
    assert pose.weights.min() >= 0 and pose.weights.max() <= 1


def test_the_resting_mouth_is_closed() -> None:
    assert REST[UNIT["jawOpen"]] == 0
