"""`avacast hls-check`: watches, checks, and prints what was found."""

from __future__ import annotations

import asyncio
import json as json_text
import signal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from avacast.problems import told
from common.errors import Problem
from hls.check import Recording, check
from hls.check.player import Report, watch
from hls.check.report import as_json, show, violated

CLEAN, VIOLATED, NOTHING_TO_WATCH = 0, 1, 2


def run_check(url: str, seconds: float, *, json: bool, strict: bool, slack_s: float, verify: bool) -> int:
    """Watches `url` and prints the report on standard output, as JSON when asked. Returns the exit status. Ctrl-C ends the watching;
    what was seen until then is checked."""
    errors = Console(stderr=True, highlight=False)
    bar = Progress(
        TextColumn("watching"),
        BarColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    task = bar.add_task("watching", total=seconds)
    try:
        with bar:
            recording = asyncio.run(
                _watch(url, seconds, slack_s, verify, lambda done_s, _: bar.update(task, completed=done_s))
            )
    except Problem as problem:
        errors.print(told(problem))
        return NOTHING_TO_WATCH
    outcomes = check(recording)
    if json:
        print(json_text.dumps(as_json(recording, outcomes, strict=strict), indent=2))
    else:
        show(Console(highlight=False, soft_wrap=True), recording, outcomes)
    return VIOLATED if violated(outcomes, strict=strict) else CLEAN


async def _watch(url: str, seconds: float, slack_s: float, verify: bool, report: Report) -> Recording:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await watch(url, seconds, slack_s=slack_s, verify=verify, report=report, stop=stop)
