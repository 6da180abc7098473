"""Layer selection as JSON: what a request may say, and what viewers hear of the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import BadRequest
from sfu.layers import layers_event, media_id_of, parse_choice
from sfu.viewers import EVENTS, Viewer, ViewerRole, Viewers

if TYPE_CHECKING:
    from common._native import LayerStats


def layer(number: int, name: str, bitrate_bps: int, *, alive: bool = True) -> LayerStats:
    return {
        "kind": "video",
        "layer": number,
        "packets": 1,
        "bytes": 1,
        "bitrate_bps": bitrate_bps,
        "key_frames": 1,
        "gop_packets": 1,
        "name": name,
        "alive": alive,
        "width": 640 >> number,
        "height": 360 >> number,
    }


def test_the_video_section_is_found_by_its_mid() -> None:
    offer = "v=0\r\nm=audio 9 X 1\r\na=mid:a\r\nm=video 9 X 2\r\na=sendonly\r\na=mid:7\r\nm=video 9 X 3\r\na=mid:8\r\n"
    assert media_id_of(offer) == "7"
    assert media_id_of("v=0\r\nm=video 9 X 1\r\nm=audio 9 X 2\r\na=mid:x\r\n") == "0"
    assert media_id_of("") == "0"


def test_a_choice_names_an_encoding_or_leaves_it_to_the_node() -> None:
    assert parse_choice(b'{"mediaId": "0", "encodingId": "h"}', "0") == "h"
    assert parse_choice(b'{"encodingId": "l", "maxTemporalLayerId": 2}', "0") == "l"
    assert parse_choice(b"{}", "0") is None
    assert parse_choice(b"", "0") is None


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"mediaId": "1"}', b'{"encodingId": 3}', b'{"layer": "h"}', b"\xff", b" " * 5000],
)
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_choice(body, "0")


def test_viewers_hear_of_active_and_silent_layers() -> None:
    told = layers_event(
        [layer(1, "l", 130_000), layer(0, "h", 1_512_345), layer(2, "x", 0, alive=False)], "0", "l", 1
    )
    assert told["0"]["active"] == [
        {"id": "h", "encodingId": "h", "simulcastIdx": 0, "bitrate": 1_500_000, "width": 640, "height": 360},
        {"id": "l", "encodingId": "l", "simulcastIdx": 1, "bitrate": 150_000, "width": 320, "height": 180},
    ]
    assert [one["id"] for one in told["0"]["inactive"]] == ["x"]
    assert (told["0"]["selected"], told["0"]["current"]) == ("l", "l")
    assert layers_event([layer(0, "h", 1)], "0", None, None)["0"]["current"] is None


def test_layers_are_said_on_a_data_channel_that_opens_after_them() -> None:
    viewers = Viewers()
    viewer = Viewer("a", "live", ViewerRole.INTERACTIVE)
    viewers.add(viewer)
    viewer.hear("layers", {"0": {"active": []}})
    assert viewers.kept(viewer) == [("layers", {"0": {"active": []}})]
    said: list[str] = []
    viewer.channels[EVENTS] = said.append
    viewer.hear("layers", {"0": {"active": [], "current": "h"}})
    assert said == ['{"event":"layers","data":{"0":{"active":[],"current":"h"}}}']
