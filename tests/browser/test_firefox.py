"""Firefox on the demo's page. Debian's has no OpenH264, so it cannot take the avatar's H.264 by WebRTC, and must get it by HLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.firefox import firefox, needs_firefox
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240), needs_firefox]

PLAYER = "document.querySelector('avacast-player')"
TELL = f"[{PLAYER}.mode, {PLAYER}.stats, {PLAYER}.shadowRoot.querySelector('.veil')?.textContent]"


def test_firefox_shows_the_avatar_by_the_way_that_it_can_decode(up: RunningUp, tmp_path: Path) -> None:
    with firefox(tmp_path) as browser:
        browser.open(f"{up.url}/watch/demo")
        capabilities = "RTCRtpReceiver.getCapabilities('video').codecs.map(codec => codec.mimeType)"
        wanted = "webrtc" if "video/H264" in browser.evaluate(capabilities) else "hls"
        frames = f"{PLAYER}.video?.getVideoPlaybackQuality().totalVideoFrames"
        browser.wait_until(f"{frames} > 50", 120, tell=TELL)
        assert browser.evaluate(f"{PLAYER}.mode") == wanted
        assert browser.evaluate(f"[{PLAYER}.video.videoWidth, {PLAYER}.video.videoHeight]") == [854, 480]
        print(f"Firefox {browser.version}: {wanted}, {browser.evaluate(TELL)[1]}")
