"""What each kind of node is told."""

from __future__ import annotations

import datetime as dt

from common.directory import Delivery, NodeReport, Role, StreamReport
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import State, Switch
from orchestrator.directory import View, directory_of, packager_of, packagers_of, told
from orchestrator.draining import Drain
from orchestrator.handover import Handover, Stage
from orchestrator.nodes import Node


def node(name: str, role: Role, **more: object) -> Node:
    report = NodeReport(id=name, role=role, url=f"http://{name}:80/n/x/", epoch=1)
    return Node(report, 10.0, 0.0, **more)


def broadcast(name: str, avatar: str | None = None) -> Broadcast:
    return Broadcast(
        id=name,
        title=name,
        public=True,
        avatar=avatar,
        persona="a guide" if avatar else None,
        open_mic=False,
        moderated=False,
        webrtc_only=False,
        created_at=dt.datetime.now(dt.UTC),
    )


ORIGIN, OTHER, RELAY, PACKAGER = (
    node("origin", Role.ORIGIN),
    node("other", Role.ORIGIN),
    node("relay", Role.RELAY),
    node("packager", Role.PACKAGER),
)


def view(viewers: int = 3, **more: object) -> View:
    facts = {
        "version": 5,
        "broadcasts": [broadcast("talk", "ava"), broadcast("film")],
        "deliveries": {"talk": State(hls=Switch(on=True), hls_share=0.5, package=True)},
        "origins": {"talk": ORIGIN},
        "packagers": [PACKAGER],
        "viewers": lambda _name: viewers,
        "hls_url": lambda name: f"http://cdn/hls/{name}/index.m3u8" if name == "talk" else None,
        "play_url": lambda name: f"http://orch/api/broadcasts/{name}/play",
    }
    return View(**(facts | more))


def test_an_origin_learns_what_it_runs_and_nothing_else() -> None:
    found = directory_of(ORIGIN, view())
    assert found.version == 5
    assert list(found.broadcasts) == ["talk"]
    entry = found.broadcasts["talk"]
    assert (entry.avatar, entry.persona, entry.upstreams) == ("ava", "a guide", [])
    assert not directory_of(OTHER, view()).broadcasts


def test_origins_learn_that_a_publisher_is_to_move_and_that_it_has() -> None:
    origins, moving = {"film": ORIGIN}, Handover(source="origin", target="other")
    opening = view(origins=origins, handovers={"film": moving})
    assert directory_of(ORIGIN, opening).broadcasts["film"].moving
    target = directory_of(OTHER, opening).broadcasts["film"]
    assert (target.moving, target.released, target.upstreams) == (False, False, [])
    moved = view(
        origins={"film": OTHER}, handovers={"film": moving.model_copy(update={"stage": Stage.MOVED})}
    )
    source = directory_of(ORIGIN, moved).broadcasts["film"]
    assert (source.moving, source.released) == (False, True)
    assert "film" not in directory_of(ORIGIN, view(origins={"film": OTHER})).broadcasts
    talk = Handover(source="origin", target="other")
    assert not directory_of(ORIGIN, view(handovers={"talk": talk})).broadcasts["talk"].moving, "an avatar's"


def test_a_relay_learns_all_broadcasts_and_where_to_pull_them() -> None:
    found = directory_of(RELAY, view()).broadcasts
    assert found["talk"].upstreams == ["http://origin:80/n/x/whep/talk"]
    assert found["talk"].avatar is None, "only the origin may run it"
    assert found["talk"].speech == "en", "but everybody knows that it has captions, and in which language"
    assert found["film"].upstreams == [], "nobody has it yet"
    assert not any(one.package for one in found.values())


def test_passive_viewers_mode_and_share_are_told_to_all() -> None:
    for one in (ORIGIN, RELAY, PACKAGER):
        entry = directory_of(one, view()).broadcasts["talk"]
        assert entry.mode is Delivery.HLS
        assert entry.hls_share == 0.5
        assert entry.hls_url == "http://cdn/hls/talk/index.m3u8"
        modes = {entry.mode_for(f"v_{index}") for index in range(50)}
        assert modes == {Delivery.HLS, Delivery.WEBRTC}


def test_a_packager_learns_what_it_makes_hls_of() -> None:
    found = directory_of(PACKAGER, view()).broadcasts
    assert list(found) == ["talk"]
    assert found["talk"].package
    assert found["talk"].upstreams == ["http://origin:80/n/x/whep/talk"]


def test_one_packager_has_each_broadcast_and_few_move_when_one_leaves() -> None:
    packagers = [node(f"p{index}", Role.PACKAGER) for index in range(5)]
    names = [f"b{index}" for index in range(200)]
    chosen = {name: packager_of(name, packagers) for name in names}
    assert {one.id for one in chosen.values() if one is not None} == {one.id for one in packagers}
    remaining = packagers[:-1]
    for name in names:
        before, after = chosen[name], packager_of(name, remaining)
        assert after is not None
        assert after is before or before is packagers[-1]


def test_a_draining_packager_hands_over() -> None:
    draining = node("p1", Role.PACKAGER, drain=Drain())
    assert packager_of("talk", [draining, PACKAGER]) is PACKAGER
    assert packager_of("talk", [draining]) is None
    assert directory_of(draining, view()).draining


def test_only_what_matters_at_once_is_pushed() -> None:
    first = told(directory_of(RELAY, view(3)))
    counted = told(directory_of(RELAY, view(4, version=6)))
    assert first.essence == counted.essence
    assert first.body != counted.body
    assert first.essence != told(directory_of(RELAY, view(origins={}))).essence


def test_two_packagers_of_a_broadcast_know_each_other_and_who_is_first() -> None:
    packagers = [node(f"packager-{index}", Role.PACKAGER) for index in range(4)]
    for index, one in enumerate(packagers):
        one.report.url = f"http://packager-{index}"
    two = view(packagers=packagers, hls_packagers=2)
    entries = {
        one.report.url: directory_of(one, two).broadcasts["talk"]
        for one in packagers
        if directory_of(one, two).broadcasts
    }
    assert len(entries) == 2
    (one, first), (other, second) = sorted(entries.items(), key=lambda pair: not pair[1].first)
    assert (first.first, first.twin) == (True, other)
    assert (second.first, second.twin) == (False, one)
    assert packager_of("talk", packagers).report.url == one
    alone = directory_of(packagers[0], view(packagers=packagers[:1], hls_packagers=2)).broadcasts["talk"]
    assert (alone.first, alone.twin) == (True, None), "a twin may come"
    single = directory_of(PACKAGER, view()).broadcasts["talk"]
    assert (single.first, single.twin) == (True, None)


def test_a_packager_that_is_no_longer_chosen_gives_up_what_it_has_to_who_is() -> None:
    old = node("old", Role.PACKAGER, drain=Drain())
    old.report.url, old.report.packages = "http://old", ["talk"]
    new, third = node("new", Role.PACKAGER), node("third", Role.PACKAGER)
    new.report.url, third.report.url = "http://new", "http://third"

    def entries(*packagers: Node, count: int = 1) -> list[tuple[bool, bool, str | None]]:
        seen = view(packagers=packagers, hls_packagers=count)
        found = (directory_of(one, seen).broadcasts.get("talk") for one in packagers)
        return [(one.released, one.first, one.twin) for one in found if one is not None]

    assert entries(old) == [(False, True, None)], "there is nobody else: it goes on"
    assert entries(old, new) == [(True, False, "http://new"), (False, False, "http://old")]
    old.report.streams = [StreamReport(stream="talk", live=True)]
    assert entries(old, new)[0] == (False, False, "http://new"), "it has no media yet"
    new.report.streams = old.report.streams
    assert entries(old, new)[0] == (True, False, "http://new")
    old.drain = None
    first = packagers_of("talk", [old, new], 1)[0]
    if first is new:
        assert entries(old, new)[0] == (True, False, "http://new"), "one has come that is nearer"
    else:
        new.report.packages = ["talk"]
        assert entries(old, new)[1] == (True, False, "http://old"), "the drain was undone"
    old.drain, new.report.packages = Drain(), ["talk"]
    chosen = packagers_of("talk", [old, new, third], 2)
    assert {one.id for one in chosen} == {"new", "third"}
    gives_up, *stay = entries(old, *chosen, count=2)
    assert gives_up == (True, False, chosen[0].report.url)
    assert ("http://new" if chosen[0] is third else "http://old") == stay[0][2], "who has it is read along"
    assert stay[1][2] == chosen[0].report.url
    old.report.packages = []
    assert entries(old, new) == [(False, True, None)]
