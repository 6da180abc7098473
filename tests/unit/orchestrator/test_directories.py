"""What each kind of node is told."""

from __future__ import annotations

import datetime as dt

from common.directory import Delivery, NodeReport, Role
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import State, Switch
from orchestrator.directory import View, directory_of, packager_of, told
from orchestrator.draining import Drain
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
    assert (first.twinned, first.first, first.twin) == (True, True, other)
    assert (second.twinned, second.first, second.twin) == (True, False, one)
    assert packager_of("talk", packagers).report.url == one
    alone = directory_of(packagers[0], view(packagers=packagers[:1], hls_packagers=2)).broadcasts["talk"]
    assert (alone.twinned, alone.first, alone.twin) == (True, True, None), "a twin may come"
    single = directory_of(PACKAGER, view()).broadcasts["talk"]
    assert (single.twinned, single.twin) == (False, None)
