"""Debian's Firefox for tests, driven by its own remote protocol (Marionette: JSON over TCP, each message after its length)."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

START_S = 90.0
CALL_S = 120.0
PREFERENCES: dict[str, str | int | bool] = {
    "marionette.port": 0,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # nothing is fetched from outside
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "devtools.jsonview.enabled": False,  # its pages may not fetch
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",
    "toolkit.telemetry.server": "",
}

needs_firefox = pytest.mark.skipif(
    shutil.which("firefox-esr") is None, reason="Firefox is not installed: apt-get install firefox-esr"
)


class Firefox:
    """A running one. Calls block; times are in seconds."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.settimeout(CALL_S)
        self._unread = b""
        self._calls = 0
        self._receive()  # who it is
        self.version: str = self._call("WebDriver:NewSession", capabilities={})["capabilities"][
            "browserVersion"
        ]

    def close(self) -> None:
        """Ends the connection, not the browser."""
        self._socket.close()

    def _receive(self) -> Any:
        while b":" not in self._unread:
            self._read()
        length, _, rest = self._unread.partition(b":")
        self._unread = rest
        while len(self._unread) < int(length):
            self._read()
        message, self._unread = self._unread[: int(length)], self._unread[int(length) :]
        return json.loads(message)

    def _read(self) -> None:
        more = self._socket.recv(65_536)
        if not more:
            raise ConnectionError("Firefox has closed the connection")
        self._unread += more

    def _call(self, command: str, **parameters: Any) -> Any:
        self._calls += 1
        message = json.dumps([0, self._calls, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise AssertionError(f"{command}: {error['error']}: {error['message']}")
        return result

    def open(self, url: str) -> None:
        """Opens a page and waits until it has loaded."""
        self._call("WebDriver:Navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        script = (
            f"const done = arguments[arguments.length - 1]; Promise.resolve().then(async () => ({expression}))"
            ".then(value => done({ value }), error => done({ error: String(error) }))"
        )
        result = self._call("WebDriver:ExecuteAsyncScript", script=script, args=[])
        if "error" in result["value"]:
            raise AssertionError(f"{expression}: {result['value']['error']}")
        return result["value"].get("value")

    def wait_until(self, condition: str, timeout_s: float = 60.0, *, tell: str = "null") -> Any:
        """Waits until the expression is truthy and returns it; says what `tell` is when it does not become so."""
        until = time.monotonic() + timeout_s
        while not (value := self.evaluate(condition)):
            if time.monotonic() > until:
                raise AssertionError(
                    f"not within {timeout_s} s: {condition}; {json.dumps(self.evaluate(tell))}"
                )
            time.sleep(0.1)
        return value


@contextlib.contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Starts one without a window, with a new profile in an empty folder, and ends it."""
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    process = subprocess.Popen(
        ["firefox-esr", "--marionette", "--headless", "--no-remote", "--profile", str(profile)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        browser = Firefox(_port(process, profile))
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        stop = threading.Timer(10, process.kill)
        stop.start()
        process.wait()
        stop.cancel()


def _port(process: subprocess.Popen[bytes], profile: Path) -> int:
    """The port that Firefox has chosen: it writes it into the profile's preferences."""
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            return int((profile / "MarionetteActivePort").read_text())
        time.sleep(0.05)
    raise AssertionError(f"Firefox did not start within {START_S} s (status {process.poll()})")
