"""What must hold for the segments and parts of any rendition."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hls.grid import Grid
from hls.segmenter import LEAST_PART
from hls.track import Event, Part, SegmentEnd, SegmentStart


def check(events: Sequence[Event], grid: Grid, rate: int, *, least_part: float = LEAST_PART) -> None:
    """What must hold whatever the source does. `least_part`: of PART-TARGET, for parts within a segment."""
    at: int | None = None
    msn: int | None = None
    index = 0
    begin = 0
    for event in events:
        match event:
            case SegmentStart():
                assert msn is None or event.msn == msn + 1, "numbers grow by one"
                assert at is None or event.start == at, "segments join"
                msn, begin, at, index = event.msn, event.start, event.start, 0
            case Part():
                assert (event.msn, event.index, event.start) == (msn, index, at), "parts join"
                assert 0 < event.duration <= grid.part_ticks(rate), "no part is longer than PART-TARGET"
                if event.samples:
                    assert sum(sample.duration for sample in event.samples) == event.duration
                    assert all(sample.duration > 0 for sample in event.samples)
                assert event.independent == any(sample.key for sample in event.samples)
                at, index = event.start + event.duration, index + 1
            case SegmentEnd():
                assert (event.msn, event.start, event.start + event.duration) == (msn, begin, at), (
                    "parts sum up"
                )
                assert round(event.duration / rate) <= grid.target_duration_s, (
                    "EXTINF rounds to TARGETDURATION"
                )
                assert index > 0
    for part, following in itertools.pairwise(events):
        if isinstance(part, Part) and isinstance(following, Part) and part.samples and following.samples:
            assert part.independent or part.duration >= round(least_part * grid.part_ticks(rate)), "85 %"
