"""A real `avacast up` for tests: started on free ports in a data folder of its own, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ADMIN_TOKEN = "admin-token-of-the-tests"
START_S = 120.0


@dataclass
class RunningUp:
    """A running `avacast up`. `url` has no slash at its end; `lines` is all that it has printed."""

    process: subprocess.Popen[str]
    data: Path
    url: str = ""
    hls_url: str = ""
    media_port: int = 0
    lines: list[str] = field(default_factory=list)

    @property
    def admin(self) -> dict[str, str]:
        """The operators' header."""
        return {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def interrupt(self) -> tuple[int, float]:
        """Presses Ctrl-C. Returns the exit status and the seconds that the end took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30), time.monotonic() - began

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)


def start_up(data: Path, *options: str, environment: dict[str, str] | None = None) -> RunningUp:
    """Starts `avacast up` on free ports and waits for its ready line. Raises AssertionError with its output if it ends first."""
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "avacast",
                "up",
                "--http-port",
                "0",
                "--hls-port",
                "0",
                "--media-port",
                "0",
            ),
            *("--data", str(data), "--admin-token", ADMIN_TOKEN, *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    running = RunningUp(process, data)
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            running.lines.append(line.rstrip())
            if line.startswith("ready ") and " hls=" in line and not running.url:  # relays print theirs too
                url, hls, media = line.split()[1:4]
                running.url, running.hls_url = url.rstrip("/"), hls.removeprefix("hls=")
                running.media_port = int(media.removeprefix("media="))
                ready.set()
        process.stdout.close()
        ready.set()

    threading.Thread(target=read, name="up-output", daemon=True).start()
    came = ready.wait(START_S)
    if not came or not running.url:
        running.close()
        raise AssertionError("avacast up did not get ready:\n" + "\n".join(running.lines))
    return running
