"""A process ends on Ctrl-C whatever it was doing: waiting, starting, or closing something that hangs."""

import signal
import subprocess
import sys
import time

SCRIPT = """
import asyncio, sys
from avacast.process import run
async def start():
    {start}
    async def close():
        {close}
    print("up", flush=True)
    return close
sys.exit(run(start))
"""


def _run(start: str, close: str, wait_for: str) -> tuple[int, float, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(start=start, close=close)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == wait_for
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    return process.returncode, time.monotonic() - began, err


def test_it_closes_and_ends_with_success() -> None:
    code, _, err = _run("pass", "print('closed', file=sys.stderr)", "up")
    assert (code, err.strip()) == (0, "closed")


def test_it_ends_while_starting() -> None:
    code, _, _ = _run("print('starting', flush=True); await asyncio.sleep(60)", "pass", "starting")
    assert code == 130


def test_it_names_what_hangs_and_ends() -> None:
    code, _, err = _run("pass", "await asyncio.sleep(60)", "up")
    assert code == 1
    assert "still at work" in err
