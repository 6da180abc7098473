"""A process ends on Ctrl-C whatever it was doing: waiting, starting, or closing something that hangs."""

import signal
import subprocess
import sys
import time

import pytest

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


@pytest.mark.slow
def test_it_names_what_hangs_and_ends() -> None:
    code, _, err = _run("pass", "await asyncio.sleep(60)", "up")
    assert code == 1
    assert "still at work" in err


LEAVING = """
import asyncio, sys
from avacast.process import Ending, run
async def start():
    async def leave():
        print("leaving", flush=True)
        await asyncio.sleep({seconds})
        print("left", flush=True)
    async def close():
        print("closed", flush=True)
    print("up", flush=True)
    return Ending(close, leave)
sys.exit(run(start))
"""


def _left(seconds: float, *signals: signal.Signals) -> list[str]:
    """What a process says that leaves for so long, sent each signal once it has said something more."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVING.format(seconds=seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = []
    for number in signals:
        said.append(process.stdout.readline().strip())
        process.send_signal(number)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    return said + rest.split()


def test_sigterm_lets_it_leave_before_it_closes() -> None:
    assert _left(0.1, signal.SIGTERM) == ["up", "leaving", "left", "closed"]


def test_ctrl_c_and_a_second_signal_end_it_at_once() -> None:
    assert _left(600, signal.SIGINT) == ["up", "closed"]
    assert _left(600, signal.SIGTERM, signal.SIGTERM) == ["up", "leaving", "closed"]
