"""Answers that need more than a table: what scaling wants and why, and costs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show_scaling(told: dict[str, Any], console: Console) -> None:
    """The pools: what they have, what they should have, and why."""
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


def show_cost(told: dict[str, Any], console: Console) -> None:
    """The machines, the small bills, and broadcasts by their audience."""
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
