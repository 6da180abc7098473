"""What a media server says to bad requests and hostile datagrams: a clear problem, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection

from common.errors import Unauthorized
from sfu.ice_servers import IceServers
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import Publisher, Viewer

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


async def viewer_offer() -> str:
    """An offer that a viewer would send, of a peer that is gone."""
    peer = RTCPeerConnection()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp: str = peer.localDescription.sdp
    await peer.close()
    return sdp


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, Any]:
    assert answer.content_type == "application/problem+json", await answer.text()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    document = await answer.json(content_type=None)
    assert document["detail"] and document["status"] == answer.status
    return answer.status, document["code"]


@pytest.mark.parametrize(
    ("path", "headers", "body", "expected"),
    [
        ("/whep/live", {"Content-Type": "application/json"}, b"{}", (415, "unsupported_media_type")),
        ("/whip/live", {"Content-Type": "text/plain"}, b"v=0", (415, "unsupported_media_type")),
        ("/whip/live", SDP, b"", (400, "bad_sdp")),
        ("/whep/live?layers=all", SDP, b"", (400, "bad_sdp")),
        ("/whep/live", SDP, b"hello", (400, "bad_sdp")),
        ("/whep/live", SDP, b"\xff\xfe\x00", (400, "bad_sdp")),
        ("/whip/live", SDP, b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", (400, "bad_sdp")),
        ("/whip/live", SDP, b"m=" * 40_000, (413, "body_too_large")),
        ("/whep/nothing", SDP, None, (409, "stream_unknown")),
        ("/whep/no%20such%20name", SDP, None, (400, "bad_broadcast_id")),
        ("/whep/live?layers=some", SDP, None, (400, "invalid_query")),
        ("/whep/live?role=king", SDP, None, (400, "invalid_query")),
    ],
)
async def test_a_bad_offer_is_answered_with_a_problem(
    path: str, headers: dict[str, str], body: bytes | None, expected: tuple[int, str]
) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        data = body if body is not None else (await viewer_offer()).encode()
        async with http.post(server.url + path, data=data, headers=headers) as answer:
            assert await problem(answer) == expected
        stats = await server.until(lambda stats: stats["subscribers"] == 0, "nothing left")
        assert stats["pending"] == {} and stats["workers"][0]["faults"] == 0


async def test_offers_with_parts_missing_or_broken_never_fault() -> None:
    offer = await viewer_offer()
    lines = offer.split("\r\n")
    random_numbers = random.Random(7)
    broken = ["\r\n".join(lines[:index] + lines[index + 1 :]) for index in range(len(lines))]
    for _ in range(100):
        characters = list(offer)
        for _ in range(random_numbers.randrange(1, 12)):
            characters[random_numbers.randrange(len(characters))] = chr(random_numbers.randrange(32, 127))
        broken.append("".join(characters))
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        for text in broken:
            for path in ("/whep/live", "/whip/other"):
                async with http.post(server.url + path, data=text.encode(), headers=SDP) as answer:
                    assert answer.status in (201, 400, 422), await answer.text()
                    if answer.status != 201:
                        await problem(answer)
                        continue
                    location = answer.headers["Location"]
                async with http.delete(server.url + location) as answer:
                    assert answer.status == 200
        stats = await server.until(lambda stats: not (stats["subscribers"] or stats["pending"]), "all gone")
        assert stats["workers"][0]["faults"] == 0


async def test_a_session_is_patched_and_deleted_by_its_rules() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        async with http.post(server.whep("live"), data=await viewer_offer(), headers=SDP) as answer:
            assert answer.status == 201
            assert answer.content_type == "application/sdp"
            location, etag = server.url + answer.headers["Location"], answer.headers["ETag"]
            assert "server-sent-events" in answer.headers["Link"]
            assert {"Location", "ETag", "Link"} <= set(
                answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(",")
            )
        async with http.options(server.whep("live")) as answer:
            assert answer.status == 200 and answer.headers["Accept-Post"] == "application/sdp"
        fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        async with http.patch(location, data=fragment, headers={**SDP, "If-Match": etag}) as answer:
            assert await problem(answer) == (415, "unsupported_media_type")
        async with http.patch(location, data=fragment, headers=FRAGMENT) as answer:
            assert await problem(answer) == (428, "precondition_required")
        async with http.patch(location, data=fragment, headers={**FRAGMENT, "If-Match": '"old"'}) as answer:
            assert await problem(answer) == (412, "precondition_failed")
        async with http.patch(location, data="\0", headers={**FRAGMENT, "If-Match": etag}) as answer:
            assert (await problem(answer))[0] == 400
        async with http.patch(location, data=fragment, headers={**FRAGMENT, "If-Match": "*"}) as answer:
            assert answer.status == 200 and answer.headers["ETag"] != etag
            assert "a=ice-ufrag:" in await answer.text()
        async with http.patch(location, data=fragment, headers={**FRAGMENT, "If-Match": etag}) as answer:
            assert await problem(answer) == (412, "precondition_failed")
        async with http.put(location) as answer:
            assert await problem(answer) == (405, "method_not_allowed")
        async with http.delete(location.replace("live", "dead")) as answer:
            assert await problem(answer) == (404, "session_unknown")
        async with http.delete(location) as answer:
            assert answer.status == 200
        async with http.delete(location) as answer:
            assert await problem(answer) == (404, "session_unknown")
        await server.until(lambda stats: stats["subscribers"] == 0, "gone")


async def test_answers_tell_turn_servers_and_options_do_not() -> None:
    ice = IceServers(("stun:stun.example.org", "turn:turn.example.org:3478"), "north", 3600)
    async with media_server(ice=ice) as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        for _ in range(2):
            async with http.post(server.whep("live"), data=await viewer_offer(), headers=SDP) as answer:
                links = [link for link in answer.headers.getall("Link") if 'rel="ice-server"' in link]
                assert answer.status == 201
                assert [link.split(">")[0] for link in links] == [
                    "<stun:stun.example.org",
                    "<turn:turn.example.org:3478",
                ]
                assert (
                    'credential-type="password"' in links[1]
                    and "Link" in answer.headers["Access-Control-Expose-Headers"]
                )
        async with http.options(server.whep("live")) as answer:
            assert "Link" not in answer.headers


class Nobody:
    """Lets nobody in."""

    async def admit_viewer(self, request: web.Request, stream: str) -> None:
        raise Unauthorized("a viewer token is needed")

    async def admit_publisher(self, request: web.Request, stream: str) -> None:
        raise Unauthorized("a publisher token is needed")

    def is_node(self, request: web.Request) -> bool:
        return False


async def test_without_a_token_nothing_is_made() -> None:
    async with media_server(admission=Nobody()) as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        for path in ("/whip/live", "/whep/live"):
            async with http.post(server.url + path, data=await viewer_offer(), headers=SDP) as answer:
                assert await problem(answer) == (401, "unauthorized")
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert server.stats()["joins"] == 0


async def test_a_full_node_says_so_and_takes_the_next_one_when_somebody_leaves() -> None:
    async with media_server(max_subscribers=2) as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        offer = await viewer_offer()
        locations = []
        for _ in range(2):
            async with http.post(server.whep("live"), data=offer, headers=SDP) as answer:
                locations.append(server.url + answer.headers["Location"])
        async with http.post(server.whep("live"), data=offer, headers=SDP) as answer:
            assert await problem(answer) == (503, "full")
            assert int(answer.headers["Retry-After"]) >= 1
        async with http.delete(locations[0]) as answer:
            assert answer.status == 200
        async with http.post(server.whep("live"), data=offer, headers=SDP) as answer:
            assert answer.status == 201


async def test_a_hundred_offers_at_once_are_all_answered_and_all_cleared() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        offer = await viewer_offer()

        async def one() -> str:
            async with http.post(server.whep("live"), data=offer, headers=SDP) as answer:
                assert answer.status == 201
                return server.url + answer.headers["Location"]

        locations = await asyncio.gather(*(one() for _ in range(100)))
        assert len(set(locations)) == 100

        async def end(location: str) -> None:
            async with http.delete(location) as answer:
                assert answer.status == 200

        await asyncio.gather(*(end(location) for location in locations))
        stats = await server.until(
            lambda stats: stats["subscribers"] == 0 and not stats["sessions"], "all cleared"
        )
        assert stats["workers"][0]["faults"] == 0
        assert len(server.handlers.viewers) == 0


def hostile_datagrams(count: int) -> list[bytes]:
    """Garbage, and things that begin like STUN, DTLS, RTP and RTCP and are cut or wrong."""
    numbers = random.Random(11)
    cookie = bytes.fromhex("2112a442")
    heads = [
        b"",
        b"\x00\x01\x00\x08" + cookie,
        b"\x00\x01\xff\xff" + cookie + bytes(12),
        b"\x01\x01\x00\x00" + cookie + bytes(12),
        b"\x00\x01\x00\x10" + cookie + bytes(12) + b"\x00\x06\xff\xff",
        b"\x16\xfe\xfd" + bytes(8),
        b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff",
        b"\x80\x60",
        b"\x90\x60\x00\x01" + bytes(8) + b"\xbe\xde\xff\xff",
        b"\x81\xc9\x00\x07",
        b"\xff",
    ]
    return [
        numbers.choice(heads)
        + numbers.randbytes(numbers.randrange(0, 1400) if index % 2 else numbers.randrange(40))
        for index in range(count)
    ]


async def throw(server: MediaServer, count: int) -> int:
    """Sends hostile datagrams to the media port; how many bytes came back."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    answered = 0
    try:
        for one in sockets:
            one.setblocking(False)
        for index, datagram in enumerate(hostile_datagrams(count)):
            sockets[index % 4].sendto(datagram, ("127.0.0.1", server.worker.port))
            if index % 50 == 0:
                await asyncio.sleep(0)
        await server.until(
            lambda stats: (
                stats["workers"][0]["datagrams_in"] + stats["workers"][0]["truncated"] >= count // 2
            ),
            "datagrams read",
        )
        for one in sockets:
            try:
                while True:
                    answered += len(one.recv(2048))
            except BlockingIOError:
                pass
    finally:
        for one in sockets:
            one.close()
    return answered


async def test_garbage_on_the_media_port_gets_no_answer_and_disturbs_nobody() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("calm")):
            await server.until_live("calm")
            async with Viewer(http, server.whep("calm")) as viewer:
                await viewer.frames("video", 5)
                assert await throw(server, 4000) == 0
                pictures, sound = await asyncio.gather(viewer.frames("video", 20), viewer.frames("audio", 20))
                assert len(pictures) == len(sound) == 20
                stats = server.stats()["workers"][0]
                assert stats["unknown"] > 1000 and stats["faults"] == 0
