"""Answers for people: lists as tables, things as their facts. Units are in the names of the fields, and so are known here."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avacast.client.events import Event
from avacast.client.operation import Operation
from avacast.operate.figures import show_cost, show_scaling

COLUMNS: dict[str, tuple[str, ...]] = {
    "broadcasts_list": ("id", "title", "live", "viewers", "stage", "mode", "public", "avatar", "origin"),
    "sessions_list": ("id", "user", "avatar", "state", "origin", "region", "seen_at", "ends_at"),
    "nodes_list": (
        "id",
        "role",
        "state",
        "draining",
        "region",
        "viewers",
        "capacity",
        "cpu_ratio",
        "memory_bytes",
        "heartbeat_age_s",
    ),
    "recordings_list": ("broadcast", "id", "started", "state", "duration_s", "size_bytes", "lost_segments"),
    "jobs_list": ("id", "state", "step", "share", "avatar", "text", "created_at", "error"),
    "audit_list": ("at", "actor", "method", "path", "status", "made", "address"),
    "sfu_stats": ("id", "role", "region", "workers", "transports", "streams", "egress_bps", "cpu_ratio"),
}
"""Columns of lists that have more fields than a table should."""
SHOWN: dict[str, Callable[[dict[str, Any], Console], None]] = {
    "cost_read": show_cost,
    "scaling_list": show_scaling,
}
"""Answers with a picture of their own."""
_MOST_COLUMNS = 8


def show(operation: Operation, told: dict[str, Any], console: Console) -> None:
    """The answer of an operation."""
    if operation.id in SHOWN:
        SHOWN[operation.id](told, console)
    elif operation.items:
        items = told[operation.items]
        facts = {
            name: value for name, value in told.items() if name not in (operation.items, "next") and value
        }
        if facts:
            _show_facts(facts, console)
        console.print(_table(items, COLUMNS.get(operation.id)) if items else "[dim]none[/dim]")
        if told.get("next"):
            console.print(f"[dim]more: --after {escape(str(told['next']))}[/dim]")
    else:
        _show_facts(told, console)


def show_event(event: Event, console: Console, *, as_json: bool) -> None:
    """A line for an event."""
    if as_json:
        print(json.dumps({"event": event.name, **event.data}, ensure_ascii=False), flush=True)
        return
    at_ms = event.data.get("at_ms")
    when = dt.datetime.fromtimestamp(at_ms / 1000) if isinstance(at_ms, int | float) else dt.datetime.now()
    facts = "  ".join(
        f"[dim]{escape(name)}[/dim] {written(name, value)}"
        for name, value in event.data.items()
        if name != "at_ms"
    )
    console.print(
        f"{when:%H:%M:%S}  [bold]{escape(event.name)}[/bold]  {facts}", highlight=False, soft_wrap=True
    )


def _show_facts(told: Mapping[str, Any], console: Console) -> None:
    """A thing: its plain facts, then its lists."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    lists: list[tuple[str, Sequence[Mapping[str, Any]]]] = []
    for name, value in _flat(told):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lists.append((name, value))
        else:
            table.add_row(escape(name.replace("_", " ")), written(name, value))
    if table.row_count:
        console.print(table)
    for name, items in lists:
        console.print(f"\n[bold]{escape(name.replace('_', ' '))}[/bold]")
        console.print(_table(items))


def _flat(told: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in told.items():
        if isinstance(value, dict) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _table(items: Sequence[Mapping[str, Any]], columns: tuple[str, ...] | None = None) -> Table:
    names = columns or _columns(items)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        figures = all(
            isinstance(one.get(name), int | float | None) and one.get(name) is not True for one in items
        )
        title = (
            name.rpartition(".")[2]
            .removesuffix("_at")
            .removesuffix("_bytes")
            .removesuffix("_ratio")
            .removesuffix("_s")
        )
        table.add_column(
            escape(title.replace("_", " ")), justify="right" if figures else "left", overflow="fold"
        )
    for one in items:
        flat = dict(_flat(one))
        table.add_row(*(written(name, flat.get(name, one.get(name))) for name in names))
    return table


def _columns(items: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The plain fields, without those that are empty everywhere or addresses."""
    names = dict.fromkeys(name for one in items for name, _ in _flat(one))
    rows = [dict(_flat(one)) for one in items]
    plain = [
        name
        for name in names
        if any(row.get(name) not in (None, "", [], {}) for row in rows)
        and not any(isinstance(row.get(name), list | dict) for row in rows)
        and not any(str(row.get(name)).startswith(("http://", "https://")) for row in rows)
    ]
    return tuple(plain[:_MOST_COLUMNS])


def written(name: str, value: Any) -> str:
    """A value as people read it, by the unit in its field's name."""
    field = name.rpartition(".")[2]
    match value:
        case None | "" | [] | {}:
            return "[dim]–[/dim]"
        case bool():
            return "yes" if value else "[dim]no[/dim]"
        case int() | float() if field.endswith(("_ratio", "_share", "filled", "progress")):
            return f"{value:.0%}"
        case int() | float() if field.endswith("_bytes"):
            return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))
        case int() | float() if field.endswith("_bps"):
            return _scaled(value, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"))
        case int() | float() if field.endswith("_ms"):
            return f"{value:.4g} ms"
        case int() | float() if field.endswith("_s"):
            return _duration(value)
        case float():
            return f"{value:.4g}"
        case str() if field.endswith("_at") or field in ("at", "started"):
            return _moment(value)
        case list():
            return escape(
                ", ".join(json.dumps(one) if isinstance(one, list | dict) else str(one) for one in value)
            )
    return escape("".join(one if one.isprintable() else "?" for one in str(value)))


def _scaled(value: float, step: int, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if abs(value) < step:
            return f"{value:.3g} {unit}"
        value /= step
    return f"{value:.3g} {units[-1]}"


def _duration(seconds: float) -> str:
    if abs(seconds) < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
    return text if seconds > 0 else f"-{text}"


def _moment(text: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return escape(text)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
