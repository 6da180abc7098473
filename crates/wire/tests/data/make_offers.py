"""Makes the offers in this folder with the real stacks: aiortc and Chromium (by playwright).

Run: python make_offers.py (needs aiortc, playwright and /usr/bin/chromium). Host candidates name this machine; the tests use none of them.
"""

import asyncio
import pathlib

from aiortc import RTCPeerConnection
from playwright.async_api import async_playwright

HERE = pathlib.Path(__file__).parent
CHROMIUM = {
    "chromium_whep.sdp": """async () => { const p = new RTCPeerConnection();
        p.addTransceiver('video', {direction: 'recvonly'}); p.addTransceiver('audio', {direction: 'recvonly'});
        await p.setLocalDescription(); return p.localDescription.sdp; }""",
    "chromium_whep_audio.sdp": """async () => { const p = new RTCPeerConnection();
        p.addTransceiver('audio', {direction: 'recvonly'}); await p.setLocalDescription(); return p.localDescription.sdp; }""",
    "chromium_whip.sdp": """async () => { const s = await navigator.mediaDevices.getUserMedia({video: true, audio: true});
        const p = new RTCPeerConnection(); for (const t of s.getTracks()) p.addTransceiver(t, {direction: 'sendonly', streams: [s]});
        await p.setLocalDescription(); return p.localDescription.sdp; }""",
    "chromium_whip_simulcast.sdp": """async () => { const s = await navigator.mediaDevices.getUserMedia({video: true, audio: true});
        const p = new RTCPeerConnection(); p.addTransceiver(s.getAudioTracks()[0], {direction: 'sendonly', streams: [s]});
        p.addTransceiver(s.getVideoTracks()[0], {direction: 'sendonly', streams: [s], sendEncodings: [
            {rid: 'h'}, {rid: 'm', scaleResolutionDownBy: 2}, {rid: 'l', scaleResolutionDownBy: 4}]});
        await p.setLocalDescription(); return p.localDescription.sdp; }""",
}


async def main() -> None:
    for name, kinds in {"aiortc_whep.sdp": ("video", "audio"), "aiortc_whep_video.sdp": ("video",)}.items():
        peer = RTCPeerConnection()
        for kind in kinds:
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        (HERE / name).write_bytes(peer.localDescription.sdp.encode())
        await peer.close()
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        context = await browser.new_context(permissions=["camera", "microphone"])
        page = await context.new_page()
        await page.goto("chrome://version")
        for name, script in CHROMIUM.items():
            (HERE / name).write_bytes((await page.evaluate(script)).encode())
        await browser.close()


asyncio.run(main())
