"""The rules of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep, and its extensions), one by one. docs/sfu.md lists them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import Publisher, Viewer

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
OFFERS = Path(__file__).parents[2] / "crates/wire/tests/data"
WHIP, WHEP = "whip", "whep"


def offer(kind: str) -> str:
    return (OFFERS / f"chromium_{kind}.sdp").read_text()


def url(server: MediaServer, kind: str) -> str:
    return f"{server.url}/{kind}/live"


def attribute(sdp: str, name: str) -> list[str]:
    """The values of an attribute, in order."""
    return [line.partition(":")[2] for line in sdp.splitlines() if line.split(":")[0] == f"a={name}"]


async def begin(http: aiohttp.ClientSession, server: MediaServer, kind: str) -> tuple[str, str, str]:
    """A session: its URL, ETag and answer."""
    if kind == WHEP:
        server.worker.sfu.open("live", video=True, audio=True)
    async with http.post(url(server, kind), data=offer(kind), headers=SDP) as answer:
        assert answer.status == 201, await answer.text()
        return server.url + answer.headers["Location"], answer.headers["ETag"], await answer.text()


@pytest.mark.parametrize("kind", [WHIP, WHEP])
async def test_endpoints_tell_what_they_take(kind: str) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        session, _, _ = await begin(http, server, kind)
        for at in (url(server, kind), session):
            async with http.options(at) as answer:
                assert answer.status == 200 and answer.headers["Accept-Post"] == "application/sdp"
                assert answer.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert {"POST", "PATCH", "DELETE"} <= set(
                    answer.headers["Access-Control-Allow-Methods"].split(", ")
                )
                assert {"Authorization", "Content-Type", "If-Match"} <= set(
                    answer.headers["Access-Control-Allow-Headers"].split(", ")
                )
            async with http.get(at) as answer:
                assert 200 <= answer.status < 300 and await answer.read() == b""
        async with http.head(url(server, kind)) as answer:
            assert answer.status == 200 and answer.content_type == "application/sdp"
        async with http.post(url(server, kind), data=b"{}", headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415 and answer.headers["Accept-Post"] == "application/sdp"


@pytest.mark.parametrize("kind", [WHIP, WHEP])
async def test_an_answer_has_what_the_rules_ask_of_it(kind: str) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        session, etag, answer = await begin(http, server, kind)
        assert session.startswith(url(server, kind) + "/") and etag[0] == etag[-1] == '"'
        media = [line for line in answer.splitlines() if line.startswith("m=")]
        mids = attribute(answer, "mid")
        assert len(media) == len(mids) and attribute(answer, "group") == [f"BUNDLE {' '.join(mids)}"]
        assert answer.count("a=rtcp-mux\r\n") == 2 and "a=ice-lite" not in answer
        assert set(attribute(answer, "setup")) == {"passive"}
        directions = [line for line in answer.splitlines() if line in ("a=sendonly", "a=recvonly")]
        assert directions == ["a=recvonly" if kind == WHIP else "a=sendonly"] * 2
        assert attribute(answer, "candidate")
        if kind == WHEP:
            assert "a=end-of-candidates" in answer
            assert len({value.split()[0] for value in attribute(answer, "msid")}) == 1


def fragment(ufrag: str, *candidates: str) -> str:
    return "\r\n".join(
        [
            "a=ice-options:trickle ice2",
            "a=group:BUNDLE 0 1",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "a=mid:0",
            f"a=ice-ufrag:{ufrag}",
            "a=ice-pwd:0123456789012345678901",
            *(f"a=candidate:{one}" for one in candidates),
            "",
        ]
    )


@pytest.mark.parametrize("kind", [WHIP, WHEP])
async def test_patch_trickles_and_restarts(kind: str) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        session, etag, answer = await begin(http, server, kind)
        offered = attribute(offer(kind), "ice-ufrag")[0]
        candidates = (
            "1 1 udp 2122260223 192.0.2.1 61764 typ host",
            "2 1 udp 2122260223 3e7f7f3e-1f0e-4a4b-8a52-5d2e3a1f4b5c.local 61764 typ host",
            "3 1 sctp 1518280447 192.0.2.1 9 typ host",
            "4 1 udp 1 no.such.name. 1 typ host",
        )

        async def patch(body: str, match: str | None) -> tuple[int, aiohttp.ClientResponse, str]:
            headers = FRAGMENT if match is None else {**FRAGMENT, "If-Match": match}
            async with http.patch(session, data=body, headers=headers) as told:
                return told.status, told, await told.text()

        # Trickle: 204, no body, no ETag; what cannot be used is passed over.
        for body in (fragment(offered, *candidates), fragment(offered) + "a=end-of-candidates\r\n"):
            status, told, text = await patch(body, etag)
            assert (status, text) == (204, "") and "ETag" not in told.headers
        assert (await patch(fragment(offered), None))[0] == 428
        assert (await patch(fragment(offered), '"another"'))[0] == 412
        assert (await patch("nonsense", etag))[0] == 400
        # Restart: new credentials on both sides, a new ETag, in the section that asked.
        status, told, text = await patch(fragment("fresh", candidates[0]), "*")
        assert status == 200 and told.content_type == "application/trickle-ice-sdpfrag"
        assert told.headers["ETag"] not in ("", etag)
        assert attribute(text, "mid") == ["0"] and text.index("m=audio") < text.index("a=candidate:")
        assert attribute(text, "ice-ufrag") and attribute(text, "ice-pwd") and attribute(text, "candidate")
        assert set(attribute(text, "ice-ufrag")).isdisjoint(attribute(answer, "ice-ufrag"))
        assert attribute(text, "ice-options") == attribute(answer, "ice-options")[:1]
        assert (await patch(fragment("fresh"), etag))[0] == 412
        assert (await patch(fragment("fresh"), told.headers["ETag"]))[0] == 204
        # A restart that cannot be done leaves the session as it was.
        assert (await patch("a=ice-ufrag:x\r\n", "*"))[0] in (204, 400)
        assert (await patch(fragment("fresh"), told.headers["ETag"]))[0] == 204


@pytest.mark.parametrize("kind", [WHIP, WHEP])
async def test_delete_ends_a_session_and_frees_it(kind: str) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        session, etag, _ = await begin(http, server, kind)
        async with http.delete(session) as answer:
            assert answer.status == 200
        for method in ("DELETE", "PATCH"):
            async with http.request(
                method, session, data="", headers={**FRAGMENT, "If-Match": etag}
            ) as answer:
                assert answer.status == 404
        await server.until(lambda stats: not (stats["subscribers"] or stats["pending"]), "freed")


async def test_who_comes_before_the_stream_is_told_when_to_come_again() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with http.post(url(server, WHEP), data=offer(WHEP), headers=SDP) as answer:
            assert answer.status == 409 and int(answer.headers["Retry-After"]) >= 1
            assert (await answer.json(content_type=None))["code"] == "stream_unknown"


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Name and data of each event."""
    name = ""
    async for line in answer.content:
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def wait_for(told: AsyncIterator[tuple[str, Any]], wanted: str) -> Any:
    async with asyncio.timeout(15):
        async for name, data in told:
            assert name == wanted, f"{name} was not asked for"
            return data
    raise AssertionError(f"the events ended before {wanted}")


async def test_events_are_chosen_by_a_post_and_tell_of_silence() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, url(server, WHIP)) as publisher:
            await server.until_live("live")
            async with Viewer(http, url(server, WHEP)) as viewer:
                await viewer.frames("audio", 5)
                assert viewer.resource is not None
                at = f"{viewer.resource.url}/events"
                for wrong in (b'["scte35"]', b"{}", b"nonsense", b"[1]"):
                    async with http.post(at, data=wrong) as answer:
                        assert answer.status == 400
                        assert (await answer.json(content_type=None))["code"] == "bad_events"
                async with http.post(at, data=b'["active", "inactive"]') as answer:
                    assert answer.status == 201
                    chosen = server.url + answer.headers["Location"]
                async with http.get(chosen) as answer:
                    assert answer.content_type == "text/event-stream"
                    told = events(answer)
                    # The publisher says nothing for a while.
                    tracks = [(sender, sender.track) for sender in publisher.peer.getSenders()]
                    for sender, _ in tracks:
                        sender.replaceTrack(None)
                    server.handlers.viewers.tell("live", "viewercount", {"viewercount": 3})
                    assert await wait_for(told, "inactive") == {}
                    for sender, track in tracks:
                        sender.replaceTrack(track)
                    assert await wait_for(told, "active") == {}
                async with http.delete(chosen) as answer:
                    assert answer.status == 200
                async with http.get(chosen) as answer:
                    assert answer.status == 404


async def test_extensions_are_named_one_by_one_with_their_urls() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        async with http.post(url(server, WHEP), data=offer(WHEP), headers=SDP) as answer:
            location, links = answer.headers["Location"], answer.headers.getall("Link")
        assert links[0].startswith(
            f'<{location}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="'
        )
        names = links[0].partition('events="')[2].rstrip('"').split(",")
        assert {"active", "inactive", "layers", "reconnect", "viewercount"} <= set(names)
        assert links[1] == f'<{location}/layer>; rel="urn:ietf:params:whep:ext:core:layer"'
        for body, status in ((b'{"mediaId": "0", "rid": "none"}', 404), (b"{}", 200), (b'{"rid": 1}', 400)):
            async with http.post(f"{server.url}{location}/layer", data=body) as answer:
                assert answer.status == status


async def test_who_offers_nothing_is_sent_an_offer_and_watches_once_it_has_answered() -> None:
    async with (
        media_server() as server,
        aiohttp.ClientSession() as http,
        Publisher(http, url(server, WHIP)),
    ):
        await server.until_live("live")
        async with http.post(url(server, WHEP), data=b"", headers=SDP) as told:
            assert told.status == 406 and told.content_type == "application/sdp"
            assert told.headers["Accept-Patch"] == "application/sdp"
            session, counter = server.url + told.headers["Location"], await told.text()
        assert set(attribute(counter, "setup")) == {"actpass"} and counter.count("a=sendonly\r\n") == 2
        assert attribute(counter, "group") == [f"BUNDLE {' '.join(attribute(counter, 'mid'))}"]

        async def answer(sdp: str) -> tuple[int, str]:
            async with http.patch(session, data=sdp, headers=SDP) as told:
                return told.status, await told.text()

        assert (await answer("v=0\r\nnonsense"))[0] == 400
        async with http.patch(session, data=fragment("abcd"), headers={**FRAGMENT, "If-Match": "*"}) as early:
            assert early.status == 409, "there is no ICE session yet"
        viewer = RTCPeerConnection()
        try:
            await viewer.setRemoteDescription(RTCSessionDescription(counter, "offer"))
            await viewer.setLocalDescription(await viewer.createAnswer())
            accepted = viewer.localDescription.sdp
            assert await answer(accepted) == (204, "")
            assert (await answer(accepted))[0] == 409
            async with asyncio.timeout(20):
                for transceiver in viewer.getTransceivers():
                    for _ in range(10):
                        await transceiver.receiver.track.recv()
            async with http.delete(session) as told:
                assert told.status == 200
        finally:
            await viewer.close()
        assert (await answer(accepted))[0] == 404


async def test_an_offer_without_the_streams_codec_is_refused_with_the_reason_or_countered() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        other = offer(WHEP).replace("H264/90000", "H261/90000")
        async with http.post(url(server, WHEP), data=other, headers=SDP) as told:
            assert told.status == 422
            assert (await told.json(content_type=None))["code"] == "no_common_codec"
        async with http.post(
            url(server, WHEP), data=other, headers={**SDP, "Accept": "application/sdp"}
        ) as told:
            assert told.status == 406
            session, counter = server.url + told.headers["Location"], await told.text()
        assert any(value.startswith("96 H264/") for value in attribute(counter, "rtpmap"))
        async with http.delete(session) as told:
            assert told.status == 200
        await server.until(lambda stats: not stats["subscribers"], "its place is free")
