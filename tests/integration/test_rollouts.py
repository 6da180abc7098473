"""Rollouts over real sockets: placement goes by the user's bucket, a bad version is taken back, and its sessions go on elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from common.dialogue import Dialogue, Said, Speaker
from common.directory import Health, Role
from orchestrator.api.route import CONTEXT
from orchestrator.rollout.plan import bucket
from orchestrator.rollout.service import Deploying
from tests.harness.cluster import Node, Nodes, Running, admin, eventually, orchestrator
from tests.harness.redis_servers import redis
from tests.integration.test_drain import performing

SAID = [Said(speaker=Speaker.VISITOR, text="I am Zoe."), Said(speaker=Speaker.AVATAR, text="Hello Zoe.")]
ALL = "/api/rollouts"
EARLY = next(f"u{at}" for at in range(1000) if bucket(f"u{at}") < 10)
LATE = next(f"u{at}" for at in range(1000) if bucket(f"u{at}") >= 50)


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[Running]:
    """An orchestrator on each kind of database."""
    async with orchestrator(tmp_path, database_url=database_url) as running:
        yield running


def deploying(hub: Running) -> Deploying:
    return hub.role.app[CONTEXT].rollouts


async def rollout(hub: Running, **facts: Any) -> dict[str, Any]:
    body = {"stable": "1.0", "candidate": "2.0", "limits": {"least_requests": 20}, **facts}
    made: dict[str, Any] = await hub.ok("POST", ALL, json=body, headers=admin())
    return made


async def read(hub: Running, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await hub.ok("GET", f"{ALL}/{made['id']}", headers=admin())
    return found


async def origins(hub: Running, cluster: Nodes) -> tuple[Node, Node]:
    """One of each version."""
    old = await cluster.start("old", Role.ORIGIN, hub, avatar=True, version="1.0")
    new = await cluster.start("new", Role.ORIGIN, hub, avatar=True, version="2.0")
    return old, new


async def session(hub: Running, user: str) -> dict[str, Any]:
    made: dict[str, Any] = await hub.ok("POST", "/api/sessions", json={"user": user}, headers=admin())
    return made


async def fares(node: Node, **facts: float) -> None:
    """The node reports these counters."""
    node.report = node.report.model_copy(update={"health": Health(**facts)})
    await node.beat()


async def test_sessions_go_to_the_version_of_their_users_bucket(hub: Running, cluster: Nodes) -> None:
    old, new = await origins(hub, cluster)
    made = await rollout(hub)
    assert (made["state"], made["percent"], made["phase"], made["current"]) == ("running", 10, 0, True)
    assert [(one["version"], one["share"], one["nodes"]) for one in made["versions"]] == [
        ("1.0", 0.9, 1),
        ("2.0", 0.1, 1),
    ]
    async with performing(old, new):
        assert (await session(hub, EARLY))["origin"] == "new"
        assert (await session(hub, LATE))["origin"] == "old"
        await hub.ok("POST", "/api/nodes/old/drain", headers=admin())
        fallback = await session(hub, next(f"v{at}" for at in range(999) if bucket(f"v{at}") >= 50))
        assert fallback["origin"] == "new", "another version is better than none"


async def test_viewers_get_relays_of_their_version_and_placement_says_why(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
        origin = await cluster.start("o1", Role.ORIGIN, hub)
        origin.stream()
        await origin.beat()
        for name, version in (("old", "1.0"), ("new", "2.0")):
            await cluster.start(name, Role.RELAY, hub, version=version)
        made = await rollout(hub, role="relay")
        for viewer, node in ((EARLY, "new"), (LATE, "old")):
            play = await hub.ok("GET", f"/api/broadcasts/demo/play?viewer={viewer}")
            assert play["node"] == node
            why = await hub.ok(
                "GET", "/api/broadcasts/demo/placement", params={"viewer": viewer}, headers=admin()
            )
            first, any_version = why["placements"][:2]
            assert first["version"] == ("2.0" if node == "new" else "1.0")
            assert first["rejected"] == {("old" if node == "new" else "new"): "other_version"}
            assert any_version["version"] is None and len(any_version["ranked"]) == 2
        await hub.ok("POST", "/api/nodes/old/drain", headers=admin())
        assert (await hub.ok("GET", f"/api/broadcasts/demo/play?viewer={LATE}"))["node"] == "new", (
            "a fall-back"
        )
        await hub.ok("DELETE", "/api/nodes/old/drain", headers=admin())
        await hub.ok("POST", f"{ALL}/{made['id']}/rollback", headers=admin())
        report = {"broadcast": "demo", "delivery": "webrtc", "role": "interactive", "node": "new"}
        told = await hub.ok("POST", f"/api/v1/viewers/{EARLY}", json=report)
        assert told["node"] == "old", "who is on the version that was taken back is sent away by its report"


async def test_a_bad_version_is_taken_back_and_its_sessions_go_on_with_their_dialogue(
    hub: Running, cluster: Nodes
) -> None:
    old, new = await origins(hub, cluster)
    async with performing(old, new):
        made = await rollout(hub)
        mine = await session(hub, EARLY)
        name, bearer = mine["id"], {"Authorization": f"Bearer {mine['token']}"}
        assert mine["origin"] == "new"
        new.dialogues[name] = Dialogue(count=2, said=SAID)
        await fares(old, requests=0)
        await fares(new, requests=0)
        await deploying(hub).look()
        await fares(new, requests=100, errors=1, latency_total_ms=9000, latency_count=90)
        await deploying(hub).look()
        seen = await read(hub, made)
        assert (seen["state"], seen["seen"]) == ("running", 100)
        figures = {one["version"]: one for one in seen["versions"]}["2.0"]
        assert (figures["error_ratio"], figures["latency_ms"]) == (0.01, 100)

        await fares(new, requests=200, errors=60)
        await deploying(hub).look()
        seen = await read(hub, made)
        assert (seen["state"], seen["percent"]) == ("rolled_back", 0)
        assert seen["reason"].startswith("errors: 30.0% of 200")
        assert [(one["happened"], one["by"]) for one in seen["history"]] == [
            ("begun", "operator"),
            ("rolled_back", "system"),
        ]
        assert seen["history"][-1]["figures"]["2.0"]["errors"] == 60
        entries = (await hub.ok("GET", "/api/audit", headers=admin()))["entries"]
        assert ("system", f"{ALL}/{made['id']}/rollback") in [(e["actor"], e["path"]) for e in entries]

        await eventually(lambda: hub.role.hub.origin_of(name).id == "old", "the session moves", 30)
        assert (await hub.ok("GET", f"/api/sessions/{name}", headers=bearer))["origin"] == "old"
        told = await hub.ok("GET", f"/api/sessions/{name}/history", headers=bearer)
        assert [line["text"] for line in told["said"]] == ["I am Zoe.", "Hello Zoe."]
        assert [line.text for line in old.directory.broadcasts[name].dialogue] == ["I am Zoe.", "Hello Zoe."]
        assert (await session(hub, EARLY))["id"] == name, "its person finds it"

        again = await hub.ok("POST", f"{ALL}/{made['id']}/again", headers=admin())
        assert (again["state"], again["attempt"], again["percent"]) == ("running", 2, 10)
        await deploying(hub).look()
        assert (await read(hub, made))["state"] == "running", "what was bad before does not count again"


async def test_sessions_stay_on_the_version_that_was_taken_back_when_asked_to(
    hub: Running, cluster: Nodes
) -> None:
    old, new = await origins(hub, cluster)
    async with performing(old, new):
        made = await rollout(hub, move_sessions=False)
        mine = await session(hub, EARLY)
        await hub.ok("POST", f"{ALL}/{made['id']}/rollback", json={"why": "slow"}, headers=admin())
        await hub.role.hub.tick()
        assert not hub.role.hub.moves.handovers
        assert hub.role.hub.origin_of(mine["id"]).id == "new"
        assert (await read(hub, made))["reason"] == "slow"


async def test_what_makes_no_sense_now_is_refused_and_says_what_would(hub: Running) -> None:
    made = await rollout(hub)
    one = f"{ALL}/{made['id']}"
    for path, body, code in (
        (ALL, {"stable": "2.0", "candidate": "3.0"}, "rollout_running"),
        (f"{one}/resume", {}, "rollout_state"),
        (f"{one}/again", {}, "rollout_state"),
    ):
        status, told, _ = await hub.call("POST", path, json=body, headers=admin())
        assert (status, told["code"]) == (409, code), path
        assert told["hint"]
    paused = await hub.ok("POST", f"{one}/pause", json={"why": "a holiday"}, headers=admin())
    assert (paused["state"], paused["reason"]) == ("paused", "a holiday")
    assert (await hub.ok("POST", f"{one}/resume", headers=admin()))["state"] == "running"
    await hub.ok("POST", f"{one}/rollback", headers=admin())
    later = await rollout(hub, candidate="3.0")
    status, told, _ = await hub.call("POST", f"{one}/again", headers=admin())
    assert (status, told["code"]) == (409, "rollout_state"), "a later one counts"
    listed = (await hub.ok("GET", ALL, headers=admin()))["rollouts"]
    assert [(found["id"], found["current"]) for found in listed] == [(later["id"], True), (made["id"], False)]
    first = await hub.ok("GET", f"{ALL}?limit=1", headers=admin())
    rest = await hub.ok("GET", f"{ALL}?limit=1&after={first['next']}", headers=admin())
    assert (rest["rollouts"][0]["id"], rest["next"]) == (made["id"], None)
    assert (await hub.call("GET", f"{ALL}/ro_none", headers=admin()))[0] == 404
    assert (await hub.call("GET", ALL))[0] == 401


async def test_figures_that_are_written_meanwhile_do_not_stop_an_order(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, database_url) as both:
        judging, other = sorted(both, key=lambda hub: not hub.role.hub.on_duty)
        made = await rollout(other)
        asked, judged = deploying(other).rollouts, deploying(judging)
        refresh, revisions = asked.refresh, []

        async def refresh_and_be_overtaken() -> None:
            await refresh()
            await judged.rollouts.refresh()
            await judged.look()
            revisions.append(judged.rollouts.require(made["id"]).revision)
            monkeypatch.setattr(asked, "refresh", refresh)

        monkeypatch.setattr(asked, "refresh", refresh_and_be_overtaken)
        paused = await other.ok("POST", f"{ALL}/{made['id']}/pause", headers=admin())
        assert paused["state"] == "paused"
        assert revisions == [1], "it was overtaken"
        assert [one["happened"] for one in (await read(other, made))["history"]] == ["begun", "paused"]


async def test_a_broken_plan_is_refused(hub: Running) -> None:
    for body in (
        {"stable": "1", "candidate": "1"},
        {"stable": "1"},
        {"stable": "1", "candidate": "2", "role": "packager"},
        {"stable": "1", "candidate": "2", "phases": [{"percent": 5, "days": 1}]},
        {"stable": "1", "candidate": "2", "limits": {"error_ratio": 2}},
        {"stable": "1", "candidate": "2\n"},
    ):
        status, told, _ = await hub.call("POST", ALL, json=body, headers=admin())
        assert (status, told["code"]) == (422, "invalid_body"), body


@asynccontextmanager
async def two(tmp_path: Path, database_url: str) -> AsyncIterator[tuple[Running, Running]]:
    """Two orchestrators of one cluster."""
    with redis() as server:
        settings = {"redis_url": server.url, "database_url": database_url}
        async with orchestrator(tmp_path, **settings) as first, orchestrator(tmp_path, **settings) as second:
            yield first, second


async def test_two_orchestrators_go_by_the_same_rollout_and_it_outlives_them(
    tmp_path: Path, database_url: str
) -> None:
    async with two(tmp_path, database_url) as (first, second):
        made = await rollout(first)
        await deploying(second).rollouts.refresh()
        assert deploying(second).wanted_version(Role.ORIGIN, EARLY) == "2.0"
        await second.ok("POST", f"{ALL}/{made['id']}/pause", headers=admin())
        status, told, _ = await first.call("POST", f"{ALL}/{made['id']}/pause", headers=admin())
        assert (status, told["code"]) == (409, "rollout_state"), "it goes by what the other has written"
        await first.ok("POST", f"{ALL}/{made['id']}/rollback", headers=admin())
    async with orchestrator(tmp_path, database_url=database_url) as third:
        assert (await read(third, made))["state"] == "rolled_back"
        assert deploying(third).wanted_version(Role.ORIGIN, EARLY) == "1.0"
        assert [one["happened"] for one in (await read(third, made))["history"]] == [
            "begun",
            "paused",
            "rolled_back",
        ]


async def test_of_two_orchestrators_that_act_on_one_pool_at_the_same_time_one_wins(
    tmp_path: Path, database_url: str
) -> None:
    async with two(tmp_path, database_url) as both:
        for round in range(5):
            first, second = both if round % 2 else both[::-1]

            async def race(*asked: tuple[Running, str, dict[str, Any]]) -> dict[str, Any]:
                """All at once; what the winner was told. The others get a 409 that says why."""
                answers = await asyncio.gather(
                    *(hub.call("POST", path, json=body, headers=admin()) for hub, path, body in asked)
                )
                won = [body for status, body, _ in answers if status < 400]
                lost = [(status, body["code"]) for status, body, _ in answers if status >= 400]
                assert len(won) == 1, lost
                assert all(status == 409 for status, _ in lost), lost
                assert {code for _, code in lost} <= {"rollout_running", "rollout_changed", "rollout_state"}
                for hub in both:
                    await deploying(hub).rollouts.refresh()
                winner: dict[str, Any] = won[0]
                return winner

            made = await race(
                (first, ALL, {"stable": "1.0", "candidate": f"2.{round}"}),
                (second, ALL, {"stable": "1.0", "candidate": f"3.{round}"}),
            )
            one = f"{ALL}/{made['id']}"
            order = (
                "pause" if round % 2 else "rollback"
            )  # one after the other is no race: what is done can't be done again
            told = await race(
                (first, f"{one}/{order}", {"why": "the first"}),
                (second, f"{one}/{order}", {"why": "the second"}),
            )
            for hub in both:
                seen = await read(hub, made)
                assert (seen["state"], seen["reason"]) == (told["state"], told["reason"]), "no write is lost"
                assert [happened["happened"] for happened in seen["history"]] == ["begun", told["state"]]
            if told["state"] == "paused":
                await first.ok("POST", f"{one}/rollback", headers=admin())
                await deploying(second).rollouts.refresh()
            again = await race(
                (first, f"{one}/again", {}), (second, ALL, {"stable": "1.0", "candidate": f"4.{round}"})
            )
            await first.ok("POST", f"{ALL}/{again['id']}/rollback", headers=admin())
            await deploying(second).rollouts.refresh()
            listed = (await second.ok("GET", ALL, headers=admin()))["rollouts"]
            assert not [found for found in listed if found["state"] in ("running", "paused")]
