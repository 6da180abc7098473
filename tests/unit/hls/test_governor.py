"""Key frames on the ends of segments."""

from __future__ import annotations

from hls.governor import KeyFrameGovernor
from hls.grid import tier
from hls.segmenter import VideoSegmenter
from hls.track import SegmentEnd

FRAME = 3600


class Encoder:
    """25 fps; makes a key frame `delay` pictures after it was asked, and each `gop` pictures by itself."""

    def __init__(self, delay: int, gop: int | None = None) -> None:
        self.delay, self.gop = delay, gop
        self.due: int | None = None
        self.asked = 0

    def run(self, pictures: int) -> tuple[VideoSegmenter, list[float]]:
        grid = tier(0.32)
        segmenter, governor = VideoSegmenter(grid, 7), KeyFrameGovernor(grid)
        lengths: list[float] = []
        for index in range(pictures):
            key = index == self.due or index == 0 or bool(self.gop and index % self.gop == 0)
            if index == self.due:
                self.due = None
            events = segmenter.push(index * FRAME, b"x", key)
            lengths += [event.duration / 90_000 for event in events if isinstance(event, SegmentEnd)]
            governor.saw(index * FRAME, key)
            if governor.wants(index * 40.0, index * FRAME, segmenter):
                self.asked += 1
                if self.due is None and self.delay:
                    self.due = index + self.delay
        return segmenter, lengths


def test_segments_of_an_encoder_that_obeys_end_on_key_frames() -> None:
    for delay in (1, 2, 5, 8):
        encoder = Encoder(delay)
        segmenter, lengths = encoder.run(2000)
        assert segmenter.hard_cuts == 0
        settled = lengths[4:]
        assert all(abs(length - 1.92) <= 0.12 for length in settled), (delay, settled)
        assert encoder.asked <= len(lengths) + 1, "one request a segment"


def test_the_key_frames_of_an_encoder_that_does_not_listen_are_followed() -> None:
    encoder = Encoder(0, gop=50)
    segmenter, lengths = encoder.run(2000)
    assert segmenter.hard_cuts == 0
    assert set(lengths[4:]) == {2.0}
    assert encoder.asked <= len(lengths) + 1


def test_an_encoder_that_never_answers_is_asked_at_a_bounded_rate() -> None:
    encoder = Encoder(0)
    segmenter, _ = encoder.run(1000)
    assert segmenter.hard_cuts > 10
    assert encoder.asked <= 40 / 0.6 + 1


def test_without_a_first_key_frame_it_asks_at_once() -> None:
    grid = tier(0.32)
    assert KeyFrameGovernor(grid).wants(0, 0, VideoSegmenter(grid, 7))
