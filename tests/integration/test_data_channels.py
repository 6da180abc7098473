"""Data channels over real sockets: an independent stack (aiortc) opens them, and words travel from node to node."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiortc import RTCDataChannelParameters

from sfu.viewers import MAX_WAITING_EVENTS
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import Publisher, Viewer

pytestmark = [pytest.mark.slow]
ORDERED = RTCDataChannelParameters
CAPTION = {"text": "Hello", "start_ms": 1_000, "end_ms": 2_500}


def unordered(label: str, retransmits: int = 0) -> RTCDataChannelParameters:
    return RTCDataChannelParameters(label=label, ordered=False, maxRetransmits=retransmits)


@contextlib.asynccontextmanager
async def live(server: MediaServer) -> AsyncIterator[None]:
    """As a context: the stream has come."""
    await server.until_live("live")
    yield


def all_labels() -> list[RTCDataChannelParameters]:
    return [ORDERED(label=label) for label in ("events", "captions", "chat")]


async def test_captions_and_events_come_ordered_and_unordered_beside_the_media() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.handlers.viewers.tell("live", "viewercount", {"viewercount": 3}, keep=True)
        async with (
            Publisher(http, server.whip("live")),
            live(server),
            Viewer(http, server.whep("live"), channels=all_labels()) as one,
            Viewer(http, server.whep("live"), channels=[unordered("captions"), unordered("events")]) as two,
        ):
            for viewer in (one, two):
                assert await viewer.channels["events"].hear() == {
                    "event": "viewercount",
                    "data": {"viewercount": 3},
                }, "who comes late hears what stands"
                await viewer.channels["captions"].opened()
            server.handlers.viewers.tell("live", "caption", CAPTION)
            for viewer in (one, two):
                assert await viewer.channels["captions"].hear() == CAPTION
                assert len(await viewer.frames("video", 5)) == 5
            assert one.channels["chat"].waiting() == 0
            (waiting,) = {view.waiting.qsize() for view in server.handlers.viewers.of("live")}
            assert waiting <= MAX_WAITING_EVENTS


async def test_viewers_chat_and_too_much_is_refused_not_passed_on() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with (
            Publisher(http, server.whip("live"), channels=[ORDERED(label="chat")]) as publisher,
            live(server),
            Viewer(http, server.whep("live"), channels=all_labels()) as one,
            Viewer(http, server.whep("live"), channels=[unordered("chat", 5)]) as two,
        ):
            chats = [peer.channels["chat"] for peer in (publisher, one, two)]
            for chat in chats:
                await chat.opened()
            await server.until(
                lambda stats: sum(one["data"]["channels"] for one in stats["sessions"]) == 4, "4 channels"
            )
            chats[1].say('{"text": "<b>hi</b>\\u202e there", "name": " Ann \\n"}')
            heard = [await chat.hear() for chat in chats]
            assert heard[0] == heard[1] == heard[2]
            assert (heard[0]["name"], heard[0]["text"]) == ("Ann", "<b>hi</b> there")
            assert set(heard[0]) == {"id", "name", "text", "at_ms"}
            chats[2].say("plain words")
            assert [(await chat.hear())["text"] for chat in chats] == ["plain words"] * 3
            chats[0].say("and I publish")
            assert [(await chat.hear())["text"] for chat in chats] == ["and I publish"] * 3
            chats[1].say("x" * 501)
            assert (await chats[1].hear())["error"] == "chat_too_long"
            for number in range(6):
                chats[2].say(f"line {number}")
            answers = [await chats[2].hear() for _ in range(6)]
            assert [one["error"] for one in answers if "error" in one] == ["chat_too_fast"] * 2
            assert [one["text"] for one in answers if "text" in one] == [f"line {n}" for n in range(4)]
            assert [(await chats[0].hear())["text"] for _ in range(4)] == [f"line {n}" for n in range(4)]
            assert (chats[0].waiting(), chats[1].waiting()) == (0, 4)


async def test_captions_go_down_the_tree_of_nodes_and_chat_goes_everywhere() -> None:
    async with (
        media_server(name="top") as top,
        media_server(name="middle", upstreams=lambda stream: [top.whep(stream)]) as middle,
        media_server(name="leaf", upstreams=lambda stream: [middle.whep(stream)]) as leaf,
        aiohttp.ClientSession() as http,
    ):
        async with (
            Publisher(http, top.whip("live"), channels=[ORDERED(label="captions")]) as publisher,
            live(top),
            Viewer(http, leaf.whep("live"), channels=all_labels()) as far,
            Viewer(http, middle.whep("live"), channels=all_labels()) as between,
            Viewer(http, top.whep("live"), channels=all_labels()) as near,
        ):
            viewers = (far, between, near)
            for viewer in viewers:
                await viewer.channels["chat"].opened()
            await publisher.channels["captions"].opened()
            for node in (top, middle):
                await node.until(  # a viewer's three, and the two of the node below
                    lambda stats: sum(one["data"]["channels"] for one in stats["sessions"]) == 5, "channels"
                )
            publisher.channels["captions"].say('{"text": "Hello", "start_ms": 1000, "end_ms": 2500, "x": 1}')
            assert [await viewer.channels["captions"].hear() for viewer in viewers] == [CAPTION] * 3
            for speaker, text in ((far, "from below"), (near, "from above"), (between, "from the middle")):
                speaker.channels["chat"].say(text)
                lines = [await viewer.channels["chat"].hear() for viewer in viewers]
                assert [line["text"] for line in lines] == [text] * 3
                assert len({line["id"] for line in lines}) == 1
            assert [viewer.channels["chat"].waiting() for viewer in viewers] == [0, 0, 0], "no line twice"


async def test_a_viewer_may_not_speak_for_the_stream() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with (
            Publisher(http, server.whip("live")),
            live(server),
            Viewer(http, server.whep("live"), channels=all_labels()) as one,
            Viewer(http, server.whep("live"), channels=all_labels()) as two,
        ):
            for viewer in (one, two):
                await viewer.channels["chat"].opened()
            one.channels["captions"].say('{"text": "forged", "start_ms": 1, "end_ms": 2}')
            one.channels["events"].say('{"event": "mode", "data": {}}')
            one.channels["chat"].say("after it")
            assert (await two.channels["chat"].hear())["text"] == "after it"
            assert two.channels["captions"].waiting() + two.channels["events"].waiting() == 0


async def test_a_change_of_delivery_comes_on_the_events_channel_to_passive_viewers_and_to_those_who_come_later() -> (
    None
):
    mode = {"mode": "hls", "hls": "/hls/live/index.m3u8"}
    told = {"event": "mode", "data": mode}
    events = [ORDERED(label="events")]
    async with media_server() as server, aiohttp.ClientSession() as http:
        passive, interactive = (f"{server.whep('live')}?role={role}" for role in ("passive", "interactive"))
        async with (
            Publisher(http, server.whip("live")),
            live(server),
            Viewer(http, passive, channels=events) as one,
            Viewer(http, interactive, channels=events) as talker,
        ):
            for viewer in (one, talker):
                await viewer.channels["events"].opened()
            await server.until(
                lambda stats: sum(one["data"]["channels"] for one in stats["sessions"]) == 2, "2 channels"
            )
            server.handlers.viewers.tell("live", "mode", mode, keep=True)
            assert await one.channels["events"].hear() == told
            async with Viewer(http, passive, channels=events) as late:
                assert await late.channels["events"].hear() == told
            server.handlers.viewers.tell("live", "viewercount", {"viewercount": 3})
            heard = await talker.channels["events"].hear()
            assert heard["event"] == "viewercount", "who speaks with the avatar stays where it is"
