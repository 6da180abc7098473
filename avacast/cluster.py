"""What an orchestrator says, on the command line: a question over HTTP, a table or JSON as the answer."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from common.errors import Problem, Unavailable

_ANSWER_S = 15.0


def token_of(given: str, data: Path) -> str:
    """The operators' token: as given, of the environment, or the one that the orchestrator keeps in its data folder."""
    kept = data / "admin.token"
    found = given or os.environ.get("AVACAST_ADMIN_TOKEN") or os.environ.get("ADMIN_TOKEN")
    if not found and kept.is_file():
        found = kept.read_text().strip()
    if not found:
        raise Problem(
            "there is no admin token",
            code="unauthorized",
            hint=f"--token, AVACAST_ADMIN_TOKEN, or --data FOLDER of the orchestrator ({kept} is not there)",
        )
    return found


def ask(server: str, path: str, token: str, query: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON that an orchestrator answers. Raises what it answers, or Unavailable."""
    if urlsplit(server).scheme not in ("http", "https"):
        raise Problem(f"{server!r} is no http or https address", code="bad_request", hint="--server URL")
    return asyncio.run(_ask(server.rstrip("/") + path, token, query or {}))


async def _ask(url: str, token: str, query: dict[str, str]) -> dict[str, Any]:
    limit = aiohttp.ClientTimeout(total=_ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as http,
            http.get(url, params=query, headers={"Authorization": f"Bearer {token}"}) as answer,
        ):
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                raise Problem(
                    str(told.get("detail", f"status {answer.status}")),
                    status=answer.status,
                    code=str(told.get("code", "bad_request")),
                    hint=told.get("hint"),
                )
            return dict(told)
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
        raise Unavailable(
            f"no orchestrator answers at {url}: {error or type(error).__name__}", hint="--server URL"
        ) from None


def show_scaling(told: dict[str, Any], console: Console, *, as_json: bool) -> None:
    """The pools: what they have, what they should have, and why."""
    if as_json:
        print(json.dumps(told, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Pool", "Nodes", "Wanted", "Because", "Filled", "Expected", "CPU", "Group"):
        table.add_column(
            name, justify="right" if name in ("Nodes", "Wanted", "Filled", "Expected", "CPU") else "left"
        )
    for one in told["pools"]:
        differs = one["wanted"] != one["nodes"]
        table.add_row(
            f"{one['role']}/{one['region']}",
            str(one["nodes"]) + (f" [dim](+{one['draining']} draining)[/dim]" if one["draining"] else ""),
            f"[bold yellow]{one['wanted']}[/]" if differs else str(one["wanted"]),
            one["trigger"] + (f", held by {one['held']}" if one["held"] else ""),
            f"{one['used']}/{one['places']} = {one['filled']:.0%}",
            str(one["expected"]),
            f"{one['cpu_ratio']:.0%}",
            f"[red]{one['trouble']}[/red]" if one["trouble"] else (one["group"] or "–"),
        )
    console.print(table if told["pools"] else "no node has registered, and no pool is configured")
    if told["dry_run"]:
        console.print("[dim]Dry run: no group is told (AVACAST_SCALING_APPLY).[/dim]")


def show_cost(told: dict[str, Any], console: Console, *, as_json: bool) -> None:
    """The machines, the small bills, and broadcasts by their audience."""
    if as_json:
        print(json.dumps(told, indent=2))
        return
    money, mix = told["currency"], told["mix"]
    for at, parts in enumerate(mix["hours"]):
        machines = ", ".join(
            f"{one['count']} x {one['type']}{' (spot)' if one['spot'] else ''} at {one['hour']:g}"
            for one in parts
        )
        console.print(
            f"hour {at + 1}: {mix['demand'][at]} avatars on {machines or 'nothing'}", highlight=False
        )
    exact = "nothing is cheaper" if mix["exact"] else f"at most {mix['gap']:.1%} could be saved"
    console.print(
        f"{mix['cost']:.2f} {money}, of which starts {mix['starts_cost']:.2f}; {exact}\n"
        f"a stream for an hour {mix['stream_hour']:.3f}, a session {told['session']:.3f}, a user's month "
        f"{told['user_month']:.2f} (shall be below {told['user_month_target']:g}), 1,000 films {told['videos']:.2f}\n",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Listeners", "WebRTC", "HLS", "Avatar", "Relays", "Egress", "CDN", "Total", "Each"):
        table.add_column(name, justify="right")
    for one in told["broadcasts"]:
        sums = (one[part] for part in ("avatar", "compute", "egress", "cdn", "total"))
        counts = (str(one[part]) for part in ("listeners", "webrtc", "hls"))
        table.add_row(*counts, *(f"{sum_:.2f}" for sum_ in sums), f"{one['listener']:.4f}")
    console.print(table)
    console.print(f"[dim]{money}, list prices of {told['date']}, {told['region']}[/dim]")
    if told["spot_trouble"]:
        console.print(f"[yellow]{told['spot_trouble']}[/yellow]")
