"""Nodes that are drained: by ops with a deadline, and by SIGTERM. Sessions go on elsewhere with their dialogue, viewers see no gap."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

import origin.app
from avacast.process import free_port
from common.desk import Carried, Cue, LineState
from common.dialogue import Dialogue, Said, Speaker
from common.directory import OwnDrain, Role
from common.http import Site
from orchestrator.api.route import CONTEXT
from relay.app import Relay
from sfu.node import MediaNode
from sfu.worker import Worker
from tests.harness.cluster import SECRET, Node, Nodes, Running, admin, eventually, orchestrator
from tests.harness.media_server import media_config
from tests.harness.peers import Publisher, Viewer
from tests.harness.served_origin import served_origin

SAID = [Said(speaker=Speaker.VISITOR, text="I am Zoe."), Said(speaker=Speaker.AVATAR, text="Hello Zoe.")]


@asynccontextmanager
async def performing(*origins: Node) -> AsyncIterator[None]:
    """The origins do as those that run avatars: what they are told to run is live, and nothing else."""

    async def perform(origin: Node) -> None:
        while True:
            told = {name for name, one in origin.directory.broadcasts.items() if one.avatar}
            live = {one.stream for one in origin.report.streams}
            for name in told - live:
                origin.stream(name, resting=True)
            kept = [one for one in origin.report.streams if one.stream in told]
            origin.report = origin.report.model_copy(update={"streams": kept})
            if told != live:
                await origin.beat()
            await asyncio.sleep(0.02)  # heartbeats bring the directory; there is no event for it

    tasks = [asyncio.create_task(perform(one)) for one in origins]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def has(origin: Node, name: str) -> bool:
    return any(one.stream == name for one in origin.report.streams)


async def session(hub: Running, **facts: Any) -> dict[str, Any]:
    made: dict[str, Any] = await hub.ok("POST", "/api/sessions", json=facts, headers=admin())
    return made


async def drain_of(hub: Running, node: str) -> dict[str, Any] | None:
    found: dict[str, Any] = await hub.ok("GET", f"/api/nodes/{node}", headers=admin())
    drain: dict[str, Any] | None = found["drain"]
    return drain


async def test_a_session_moves_with_its_dialogue_when_its_avatar_is_silent(
    hub: Running, cluster: Nodes
) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    async with performing(one):
        made = await session(hub, user="zoe")
        name, bearer = made["id"], {"Authorization": f"Bearer {made['token']}"}
        one.dialogues[name] = Dialogue(count=1, said=SAID[:1])
        one.stream(name, resting=False, subscribers_interactive=1)
        await one.beat()
        two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
        async with performing(two):
            asked = {"deadline_s": 600, "why": "new kernel"}
            told = await hub.ok("POST", "/api/nodes/o1/drain", json=asked, headers=admin())
            drain = told["drain"]
            assert (drain["cause"], drain["why"], drain["phase"]) == ("operator", "new kernel", "moving")
            assert (drain["viewers"], drain["streams"]) == (1, 1)
            assert 590 < drain["left_s"] <= 600
            await eventually(lambda: has(two, name), "the other origin begins the avatar")
            assert [line.text for line in two.directory.broadcasts[name].dialogue] == ["I am Zoe."]
            await hub.role.hub.tick()
            assert (await hub.ok("GET", f"/api/sessions/{name}", headers=bearer))["origin"] == "o1", (
                "it speaks"
            )
            assert not one.directory.broadcasts[name].released

            one.dialogues[name] = Dialogue(count=2, said=SAID)
            one.stream(name, resting=True, subscribers_interactive=1)
            await eventually(lambda: one.directory.broadcasts[name].released, "its viewers may go")
            assert (await hub.ok("GET", f"/api/sessions/{name}", headers=bearer))["origin"] == "o2"
            play = await hub.ok("GET", f"/api/broadcasts/{name}/play", headers=bearer)
            assert play["node"] == "o2" and play["live"]
            await eventually(
                lambda: (
                    [line.text for line in two.directory.broadcasts[name].dialogue]
                    == ["I am Zoe.", "Hello Zoe."]
                ),
                "it hears what was said while it began",
            )
            assert name in one.directory.broadcasts, "the avatar stays under its viewer"
            one.stream(name, resting=True)
            await eventually(lambda: name not in one.directory.broadcasts, "then it ends there", 15)
            await eventually(lambda: not has(one, name), "it reports that")
            await one.beat()
            drain = await drain_of(hub, "o1")
            assert drain is not None and drain["phase"] == "empty"


async def test_what_waits_at_an_avatar_goes_along_once_however_large_it_is(
    hub: Running, cluster: Nodes
) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    async with performing(one):
        name = (await session(hub))["id"]
        one.stream(name, resting=True, subscribers_interactive=1)
        await one.beat()
        question = LineState(number=7, kind="ask", text="May I?", asker="v1")
        cues = [Cue(at_s=at, text="x" * 2000) for at in range(500)]
        script = Carried(id="1", broadcast=name, held=[question], cues=cues, begun=20, position_s=20.5)
        late = Carried(id="2", broadcast=name, waiting=[question.model_copy(update={"number": 8})])
        one.waiting[name] = [script, late]
        two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
        two.takes = False
        async with performing(two):
            await hub.ok("POST", "/api/nodes/o1/drain", headers=admin())
            await eventually(lambda: one.directory.broadcasts[name].released, "it moves", 10)
            assert two.taken == [], "it does not take it yet"
            assert '"May I?"' in hub.role.hub.moves.handovers[name].model_dump_json(), "a successor goes on"
            two.takes = True
            await eventually(lambda: len(two.taken) == 2, "it takes all, also what came later", 10)
            first, second = two.taken
            assert (first.held, first.begun, len(first.cues)) == ([question], 20, 500)
            assert first.position_s > 20.5, "the script's time went on meanwhile"
            assert second == late
            one.stream(name, resting=True)
            await eventually(lambda: name not in one.directory.broadcasts, "then it ends there", 15)
            assert len(two.taken) == 2


async def test_a_drain_that_is_undone_leaves_the_session_where_it_is(hub: Running, cluster: Nodes) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    async with performing(one):
        name = (await session(hub))["id"]
        one.stream(name, resting=False, subscribers_interactive=1)
        await one.beat()
        two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
        async with performing(two):
            await hub.ok("POST", "/api/nodes/o1/drain", headers=admin())
            await eventually(lambda: has(two, name), "the other begins")
            undone = await hub.ok("DELETE", "/api/nodes/o1/drain", headers=admin())
            assert undone["drain"] is None
            await eventually(lambda: name not in two.directory.broadcasts, "the other ends")
            assert hub.role.hub.origin_of(name).id == "o1"
            assert not one.directory.broadcasts[name].released


async def test_at_the_deadline_a_talker_moves_too_and_who_has_nowhere_to_go_stays(
    hub: Running, cluster: Nodes
) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    async with performing(one):
        name = (await session(hub))["id"]
        one.stream(name, resting=False, subscribers_interactive=1)
        await one.beat()
        await hub.ok("POST", "/api/nodes/o1/drain", json={"deadline_s": 1}, headers=admin())
        with hub.role.hub.feed.reader(None) as changes:
            async with asyncio.timeout(10):
                while (event := await changes.get()) is None or event.data.get("change") != "overdue":
                    pass
        assert (event.data["viewers"], event.data["streams"]) == (1, 1)
        assert one.directory.broadcasts[name].avatar, "it is kept"
        two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
        async with performing(two):
            await eventually(lambda: one.directory.broadcasts[name].released, "it moves in mid-sentence")


async def test_a_node_whose_process_ends_says_so_and_nobody_takes_that_back(
    hub: Running, cluster: Nodes
) -> None:
    node = await cluster.start("r1", Role.RELAY, hub)
    node.report = node.report.model_copy(
        update={"draining": True, "leaving": OwnDrain(why="SIGTERM", left_s=20, drain_s=30)}
    )
    await node.beat()
    await hub.role.hub.tick()
    drain = await drain_of(hub, "r1")
    assert drain is not None
    assert (drain["cause"], drain["why"], drain["phase"]) == ("process", "SIGTERM", "empty")
    status, body, _ = await hub.call("DELETE", "/api/nodes/r1/drain", headers=admin())
    assert (status, body["code"]) == (409, "node_leaving")
    entries = (await hub.ok("GET", "/api/audit", headers=admin()))["entries"]
    assert ("node", "/api/nodes/r1/drain", 200) in [(e["actor"], e["path"], e["status"]) for e in entries]


async def test_a_broken_order_is_refused(hub: Running, cluster: Nodes) -> None:
    await cluster.start("r1", Role.RELAY, hub)
    for body in ({"deadline_s": 0}, {"deadline_s": 1e9}, {"why": "x" * 201}, {"by": 1}, []):
        status, _, _ = await hub.call("POST", "/api/nodes/r1/drain", json=body, headers=admin())
        assert status == 422, body
    assert (await hub.call("POST", "/api/nodes/r9/drain", headers=admin()))[0] == 404
    assert await drain_of(hub, "r1") is None


async def test_a_drain_outlives_its_orchestrator_in_the_registry(hub: Running, cluster: Nodes) -> None:
    await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    await hub.ok("POST", "/api/nodes/o1/drain", json={"deadline_s": 90, "why": "disk"}, headers=admin())
    shared = await hub.role.app[CONTEXT].hub.registry.snapshot()
    assert '"why":"disk"' in shared.drains["o1"]


async def test_a_pod_that_is_annotated_drains_its_node_until_that_is_taken_away(
    hub: Running, tmp_path: Path
) -> None:
    annotations = tmp_path / "annotations"
    annotations.write_text('team="video"')
    config = media_config(
        node_id="r1", cluster_secret=SECRET, orchestrators=[hub.url], url="http://127.0.0.1:9", drain_s=30
    )
    config.pod_annotations = annotations
    relay = Relay(config)
    relay.start()
    try:
        await eventually(lambda: hub.role.hub.nodes.find("r1") is not None, "it registers", 30)
        assert await drain_of(hub, "r1") is None
        with hub.role.hub.feed.reader(None) as changes:
            annotations.write_text('team="video"\ndrain="true"')
            assert await told(changes, "draining") == "annotation drain=true"
            drain = await drain_of(hub, "r1")
            assert drain is not None and (drain["cause"], drain["phase"]) == ("pod", "empty")
            assert drain["left_s"] <= 30
            status, body, _ = await hub.call("DELETE", "/api/nodes/r1/drain", headers=admin())
            assert (status, body["code"]) == (409, "node_annotated")
            annotations.write_text('team="video"')
            await told(changes, "undrained")
        assert await drain_of(hub, "r1") is None
        annotations.write_text('drain="true"')
        await eventually(lambda: relay.link.draining, "again", 10)
        await relay.link.leave(30, "SIGTERM")
        await relay.link.follow(30, None)
        drain = await drain_of(hub, "r1")
        assert drain is not None and drain["cause"] == "process", "a process that ends does so all the same"
    finally:
        await relay.close()


async def told(changes: Any, change: str) -> str:
    """What is said of a node when it changes so."""
    async with asyncio.timeout(15):
        while (event := await changes.get()) is None or event.data.get("change") != change:
            pass
    return str(event.data.get("why", ""))


# real processes -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def relay_process(hub: Running, name: str, data: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`avacast relay` as an operator runs it."""
    environment = {
        **os.environ,
        "AVACAST_CLUSTER_SECRET": SECRET,
        "AVACAST_ORCHESTRATORS": hub.url,
        "AVACAST_NODE_ID": name,
        "AVACAST_DRAIN_S": "45",
        "AVACAST_HEARTBEAT_S": "0.5",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "avacast", "relay", "--http-port", "0", "--media-port", "0"),
        *("--data", str(data / name), "--public-ip", "127.0.0.1"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: hub.role.hub.nodes.find(name) is not None, f"{name} registers", 60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sigterm_empties_a_relay_without_a_gap_and_ends_it(tmp_path: Path) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        port = free_port()
        config = media_config(
            node_id="o1", cluster_secret=SECRET, url=f"http://127.0.0.1:{port}", orchestrators=[hub.url]
        )
        node = MediaNode(config, Role.ORIGIN, Worker.open(config), whip=True)
        node.start()
        site = Site(node.app, "127.0.0.1", port)
        await site.start()
        try:
            made = await hub.ok(
                "POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin()
            )
            await moved_by_sigterm(hub, tmp_path, f"http://127.0.0.1:{port}/whip/demo", made["token"])
        finally:
            await site.close()
            await node.close()


async def moved_by_sigterm(hub: Running, tmp_path: Path, whip: str, publisher: str) -> None:
    async with relay_process(hub, "r1", tmp_path) as leaving:
        async with Publisher(hub.http, whip, audio=False, token=publisher):
            await eventually(lambda: hub.role.hub.live("demo"), "it is live", 30)
            async with Viewer(hub.http, f"{hub.url}/whep/demo", audio=False) as old:
                assert await old.frames("video", 5)
                assert old.resource is not None
                async with relay_process(hub, "r2", tmp_path):
                    async with hub.http.get(f"{old.resource.url}/events") as events:
                        leaving.send_signal(signal.SIGTERM)
                        whep = await sent_away(events)
                    assert URL(whep).port == URL(hub.url).port
                    drain = await drain_of(hub, "r1")
                    assert drain is not None and (drain["cause"], drain["phase"]) == ("process", "moving")
                    # As our player does: the new picture first, then the end of the old one.
                    async with Viewer(hub.http, whep, audio=False) as new:
                        assert await new.frames("video", 1)
                        assert await old.frames("video", 1), "the old picture runs until the new one is there"
                        assert new.resource is not None
                        await old.__aexit__()
                        async with asyncio.timeout(60):
                            assert await leaving.wait() == 0
                        assert await new.frames("video", 5)


async def sent_away(events: Any, within_s: float = 40) -> str:
    """The address that the viewer is sent to."""
    async with asyncio.timeout(within_s):
        async for line in events.content:
            text = line.decode().strip()
            if text.startswith("data:") and '"reason":"drain"' in text:
                whep: str = json.loads(text.removeprefix("data:"))["whep"]
                return whep
    raise AssertionError("nobody said where to go")


# real avatars ---------------------------------------------------------------------------------------------------------


def real_origin(hub: Running, name: str, data: Path) -> AbstractAsyncContextManager[origin.app.Origin]:
    """An origin that draws and speaks."""
    return served_origin(hub, name, data, registers_s=60, voice="piper", drain_s=600, ears=0)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_person_goes_on_talking_to_an_avatar_whose_origin_ends(hub: Running, tmp_path: Path) -> None:
    async with real_origin(hub, "o1", tmp_path / "one") as first:
        made = await session(hub, user="zoe")
        name, bearer = made["id"], {"Authorization": f"Bearer {made['token']}"}
        await eventually(lambda: hub.role.hub.live(name), "the avatar is live", 120)

        async def answer_to(question: str, told: int) -> str:
            await hub.ok("POST", f"/api/sessions/{name}/ask", json={"text": question}, headers=bearer)
            async with asyncio.timeout(90):
                while True:
                    said = (await hub.ok("GET", f"/api/sessions/{name}/history", headers=bearer))["said"]
                    if len(said) >= told and said[-1]["speaker"] == "assistant":
                        return str(said[-1]["text"])
                    await asyncio.sleep(0.1)  # what is said is asked for

        async with Viewer(hub.http, f"{hub.url}/whep/{name}", token=made["token"]) as old:
            assert await old.frames("video", 5, 60)
            await answer_to("My name is Zoe.", 2)
            async with real_origin(hub, "o2", tmp_path / "two") as second:
                assert second.avatars is not None and first.avatars is not None
                assert old.resource is not None
                async with hub.http.get(f"{old.resource.url}/events") as events:
                    leaving = asyncio.create_task(first.leave("SIGTERM"))  # as the process does
                    whep = await sent_away(events, 120)
                assert hub.role.hub.origin_of(name).id == "o2", "who talks was moved before who watches"
                async with Viewer(hub.http, whep, token=made["token"]) as new:
                    assert await new.frames("video", 1, 60)
                    assert await old.frames("video", 1), "the old picture runs until the new one is there"
                    await old.__aexit__()
                    assert "Zoe" in await answer_to("What is my name?", 4)
                    await eventually(lambda: name not in first.avatars.live, "it has ended where it was", 60)
                    assert name in second.avatars.live
                    async with asyncio.timeout(60):
                        await leaving
                    drain = await drain_of(hub, "o1")
                    assert drain is not None and (drain["cause"], drain["viewers"]) == ("process", 0)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_hosts_script_and_questions_go_on_at_another_origin(hub: Running, tmp_path: Path) -> None:
    facts = {
        "id": "show",
        "public": True,
        "avatar": "ava",
        "persona": "ava",
        "open_mic": True,
        "moderated": True,
    }
    async with real_origin(hub, "o1", tmp_path / "one") as first:
        host = {
            "Authorization": f"Bearer {(await hub.ok('POST', '/api/broadcasts', json=facts, headers=admin()))['token']}"
        }
        await eventually(lambda: hub.role.hub.live("show"), "the avatar is live", 120)
        cues = [{"at_s": at, "text": f"Line number {at}."} for at in (0, 30, 3000)]
        await hub.ok("PUT", "/api/broadcasts/show/desk/script", json={"cues": cues}, headers=host)
        assert (await hub.ok("POST", "/api/broadcasts/show/ask", json={"text": "Who are you?"}))["held"]
        assert first.avatars is not None
        await eventually(lambda: first.avatars.resting("show"), "its first line is said", 60)
        async with real_origin(hub, "o2", tmp_path / "two") as second:
            leaving = asyncio.create_task(first.leave("SIGTERM"))  # as the process does
            await eventually(lambda: hub.role.hub.origin_of("show").id == "o2", "it has moved", 120)
            assert second.avatars is not None
            there = second.avatars.avatar("show").conversation
            await eventually(lambda: there.desk.held, "the question is there", 10)
            desk = await hub.ok("GET", "/api/broadcasts/show/desk", headers=host)
            [question] = desk["held"]
            assert question["text"] == "Who are you?"
            assert desk["script"]["cues"] == 3 and desk["script"]["begun"] in (1, 2)
            assert desk["script"]["position_s"] > 1
            await hub.ok(
                "POST", f"/api/broadcasts/show/desk/lines/{question['number']}/approve", headers=host
            )
            await eventually(
                lambda: {"Who are you?", "Line number 30."} <= {one.text for one in there.turns.history},
                "both are said there",
                90,
            )
            async with asyncio.timeout(60):
                await leaving
