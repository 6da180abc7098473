"""What the witness tells of what it sees, and what an orchestrator that has just started keeps to itself."""

from __future__ import annotations

import datetime as dt
from typing import Any

from common.directory import Role
from orchestrator.webhooks.events import BroadcastFacts, CdnFacts, EventType, NodeFacts, SessionFacts
from orchestrator.webhooks.witness import (
    Changes,
    Scene,
    SeenBroadcast,
    SeenNode,
    SeenSession,
    Subject,
    Told,
    compare,
)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def broadcast(*, live: bool = False, cdn: bool = False, made: dt.datetime = NOON) -> Scene:
    facts = BroadcastFacts(broadcast="town", title="Town", public=True, avatar=None, created_at=made)
    switch = CdnFacts(broadcast="town", reason="forced", viewers=0)
    seen = SeenBroadcast(made.timestamp(), live, cdn, lambda: facts, lambda: switch)
    return Scene(broadcasts={"town": seen})


def session(origin: str | None) -> Scene:
    facts = SessionFacts(session="s-1", user=None, created_at=NOON, origin=origin)
    return Scene(sessions={"s-1": SeenSession(origin, lambda: facts)})


def node(epoch: int = 1, *, draining: bool = False) -> Scene:
    facts = NodeFacts(node="r1", role=Role.RELAY, region="eu", draining=draining)
    return Scene(nodes={"r1": SeenNode(facts, epoch)})


class Story:
    """One scene after the other; `told` lives on as the table does."""

    def __init__(self) -> None:
        self.told: Told = {}

    def sees(self, scene: Scene, *, settled: bool = True) -> list[str]:
        changes = self.changes(scene, settled)
        for subject, state in changes.told.items():
            if state is None:
                del self.told[subject]
            else:
                self.told[subject] = state
        return [one.type.value for one in changes.happenings]

    def changes(self, scene: Scene, settled: bool = True) -> Changes:
        def missed(_subject: Subject) -> bool:
            return settled

        return compare(self.told, scene, missed, NOON)


def test_each_change_is_told_once() -> None:
    story = Story()
    scenes: list[tuple[Scene, list[str]]] = [
        (broadcast(), []),
        (broadcast(live=True), ["broadcast.live"]),
        (broadcast(live=True), []),
        (broadcast(live=True, cdn=True), ["cdn.activated"]),
        (broadcast(cdn=True), ["broadcast.silent"]),
        (broadcast(), ["cdn.deactivated"]),
        (broadcast(live=True, cdn=True), ["broadcast.live", "cdn.activated"]),
        (Scene(), []),  # its end is told where it is written
    ]
    assert [story.sees(scene) for scene, _ in scenes] == [told for _, told in scenes]
    assert story.told == {}


def test_the_id_of_one_that_is_over_begins_anew() -> None:
    story = Story()
    story.sees(broadcast(live=True, cdn=True))
    again = NOON + dt.timedelta(hours=1)
    assert story.sees(broadcast(made=again)) == []
    assert story.sees(broadcast(live=True, made=again)) == ["broadcast.live"]


def test_who_has_just_started_misses_nobody() -> None:
    story = Story()
    assert story.sees(Scene(broadcast(live=True).broadcasts, nodes=node().nodes)) == [
        "broadcast.live",
        "node.joined",
    ]
    before: dict[Subject, dict[str, Any]] = dict(story.told)
    assert story.sees(broadcast(), settled=False) == []
    assert story.told == before
    assert story.sees(broadcast(), settled=True) == ["broadcast.silent", "node.lost"]


def test_a_session_moves_from_where_it_was_also_through_nowhere() -> None:
    story = Story()
    assert [story.sees(session(origin)) for origin in (None, "o1", "o1", None)] == [[], [], [], []]
    (moved,) = story.changes(session("o2")).happenings
    assert moved.type is EventType.SESSION_MOVED
    assert isinstance(moved.data, SessionFacts)
    assert (moved.data.origin_before, moved.data.origin) == ("o1", "o2")


def test_a_node_s_life() -> None:
    story = Story()
    assert story.sees(node()) == ["node.joined"]
    assert story.sees(node(draining=True)) == ["node.draining"]
    assert story.sees(node()) == ["node.resumed"]
    assert story.sees(node(epoch=2, draining=True)) == ["node.joined", "node.draining"]
    (lost,) = story.changes(Scene()).happenings
    assert lost.data == NodeFacts(node="r1", role=Role.RELAY, region="eu", draining=True)
