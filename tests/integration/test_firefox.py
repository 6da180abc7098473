"""Firefox takes VP8 and Opus by WHEP: the third browser engine's ICE, DTLS, SCTP and decoders, with our answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.harness.firefox import firefox, needs_firefox
from tests.harness.link import link, needs_link
from tests.harness.media_server import media_server
from tests.harness.peers import Publisher

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), needs_firefox, needs_link]

WATCH = """(async () => {
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const video = document.createElement("video");
  const heard = [];
  Object.assign(window, { peer, video, heard });
  for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
  const chat = peer.createDataChannel("chat");
  chat.onopen = () => chat.send("hello");
  chat.onmessage = ({ data }) => heard.push(JSON.parse(data).text);
  const stream = new MediaStream();
  peer.ontrack = ({ track }) => stream.addTrack(track);
  await peer.setLocalDescription(await peer.createOffer());
  const headers = { "Content-Type": "application/sdp" };
  const answer = await fetch("WHEP", { method: "POST", headers, body: peer.localDescription.sdp });
  if (answer.status !== 201) throw new Error(await answer.text());
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  video.srcObject = stream;
  video.muted = true;
  document.body.append(video);
  video.play();
  return peer.getReceivers().length;
})()"""
TELL = """(async () => [window.peer.connectionState, window.peer.iceConnectionState, window.video.readyState,
  [...(await window.peer.getStats()).values()].filter(one => /inbound|candidate/.test(one.type))])()"""
FLOWS = """(async () => {
  const inbound = [...(await window.peer.getStats()).values()].filter(one => one.type === "inbound-rtp");
  const of = (kind) => inbound.find(one => one.kind === kind);
  return of("video")?.framesDecoded > 50 && of("audio")?.packetsReceived > 50 && window.video.currentTime > 1;
})()"""


async def test_firefox_watches_listens_and_chats(tmp_path: Path) -> None:
    # a browser gathers no loopback addresses: ours is the near end of a link
    with link() as way:
        await watch_and_chat(way.outer, tmp_path)


async def watch_and_chat(address: str, profile: Path) -> None:
    async with (
        media_server(media_host=address, public_ip=[address]) as server,
        aiohttp.ClientSession() as http,
    ):
        async with Publisher(http, server.whip("vp8"), codec="VP8"):
            await server.until_live("vp8")

            def watch() -> list[int]:
                with firefox(profile) as browser:
                    browser.open("about:blank")  # a page of nobody: answers of ours forbid scripts
                    assert browser.evaluate(WATCH.replace("WHEP", server.whep("vp8"))) == 2
                    browser.wait_until(FLOWS, tell=TELL)
                    browser.wait_until("window.heard.includes('hello')", tell=TELL)
                    size: list[int] = browser.evaluate("[window.video.videoWidth, window.video.videoHeight]")
                    return size

            assert await asyncio.to_thread(watch) == [320, 240]
            assert server.stats()["workers"][0]["faults"] == 0
