"""What viewers of a node hear: those whom it concerns, each in its own words, nothing twice."""

from __future__ import annotations

import json
from typing import Any

from common.directory import in_hls_share
from sfu.viewers import MAX_WAITING_EVENTS, Viewer, ViewerRole, Viewers


def heard(viewer: Viewer) -> list[dict[str, Any]]:
    """The data of the events that wait for a viewer."""
    found = []
    while not viewer.waiting.empty():
        message = viewer.waiting.get_nowait()
        if message is not None:
            found.append(json.loads(message.decode().split("data: ")[1]))
    return found


def join(viewers: Viewers, role: ViewerRole, name: str = "v") -> Viewer:
    viewer = Viewer(f"s_{name}", "demo", role, name)
    viewers.add(viewer)
    return viewer


async def test_a_change_of_mode_concerns_passive_viewers_only() -> None:
    viewers = Viewers()
    passive = join(viewers, ViewerRole.PASSIVE, "a")
    interactive = join(viewers, ViewerRole.INTERACTIVE, "b")
    node = join(viewers, ViewerRole.NODE, "c")
    viewers.tell("demo", "mode", {"mode": "hls"})
    viewers.tell("demo", "viewercount", {"viewercount": 2})
    assert heard(passive) == [{"mode": "hls"}, {"viewercount": 2}]
    assert heard(interactive) == [{"viewercount": 2}]
    assert heard(node) == []


async def test_viewers_move_batch_by_batch_and_each_hears_of_it_once() -> None:
    viewers = Viewers()
    crowd = [join(viewers, ViewerRole.PASSIVE, f"v_{index}") for index in range(200)]
    moved: set[str] = set()
    for share in (0.25, 0.5, 0.5, 1.0):
        viewers.tell(
            "demo", "mode", lambda one, share=share: {"mode": in_hls_share(one.viewer, share)}, keep=True
        )
        told = {one.viewer for one in crowd for data in heard(one) if data["mode"] == "hls"}
        assert not told & moved
        moved |= told
        assert len(moved) == sum(in_hls_share(one.viewer, share) == "hls" for one in crowd)
    assert len(moved) == 200


async def test_who_joins_late_hears_the_last_of_what_was_said() -> None:
    viewers = Viewers()
    viewers.tell("demo", "mode", lambda one: {"mode": "hls", "for": one.viewer}, keep=True)
    viewers.tell("demo", "viewercount", {"viewercount": 7}, keep=True)
    viewers.tell("demo", "caption", {"text": "gone"})
    late = join(viewers, ViewerRole.PASSIVE, "late")
    assert heard(late) == [{"mode": "hls", "for": "late"}, {"viewercount": 7}]
    viewers.tell("demo", "mode", lambda one: {"mode": "hls", "for": one.viewer}, keep=True)
    assert heard(late) == []


async def test_a_viewer_that_reads_nothing_loses_the_oldest() -> None:
    viewers = Viewers()
    deaf = join(viewers, ViewerRole.PASSIVE)
    for index in range(MAX_WAITING_EVENTS + 10):
        viewers.tell("demo", "viewercount", {"viewercount": index})
    assert [one["viewercount"] for one in heard(deaf)] == list(range(10, MAX_WAITING_EVENTS + 10))
