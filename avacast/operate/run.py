"""An operation from the command line: the call, then the answer as a table or JSON, or what went wrong and what to do."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from avacast.client.clients import SERVER, TOKENS, token_of_environment
from avacast.client.errors import AvacastError, Unauthorized
from avacast.client.operation import Answer, Operation
from avacast.client.retries import Retries
from avacast.client.transport import Reply, Transport
from avacast.operate.answers import show, show_event

_RETRIES = Retries(attempts=3, patience_s=6)
"""Somebody waits at the terminal."""


@dataclass(frozen=True)
class Asked:
    """The options that all commands have."""

    server: str | None
    token: str | None
    data: Path
    as_json: bool
    yes: bool


def token_of(given: str | None, data: Path) -> str | None:
    """The token: as given, of the environment, or the one that the orchestrator keeps in its data folder."""
    kept = data / "admin.token"
    found = given or token_of_environment()
    if not found and kept.is_file():
        found = kept.read_text().strip()
    return found or None


def run_operation(operation: Operation, arguments: dict[str, Any], asked: Asked) -> int:
    """Calls, shows, and returns the command's status: 0 done, 1 refused or nobody there, 2 what cannot be."""
    errors = Console(stderr=True, highlight=False)
    if not asked.yes and sys.stdin.isatty():
        named = ", ".join(str(value) for value in arguments.values())
        typer.confirm(f"{operation.summary}: {named}?", abort=True)
    try:
        asyncio.run(_run(operation, arguments, asked))
    except KeyboardInterrupt:
        return 0 if operation.answer is Answer.EVENTS else 130
    except (AvacastError, ValueError) as error:
        return explained(error, asked, errors)
    return 0


def explained(error: AvacastError | ValueError, asked: Asked, errors: Console) -> int:
    """Says what is wrong and what to do; the status of the command."""
    if not isinstance(error, AvacastError):
        errors.print(f"[red]{_safe(str(error))}[/red]")
        return 2
    errors.print(f"[red]{_safe(getattr(error, 'detail', '') or str(error))}[/red]")
    advice = error.advice
    if isinstance(error, Unauthorized) and token_of(asked.token, asked.data) is None:
        advice = f"--token, {' or '.join(TOKENS[:2])}, or --data FOLDER of the orchestrator"
    if advice:
        errors.print(_safe(advice))
    return 1


async def _run(operation: Operation, arguments: dict[str, Any], asked: Asked) -> None:
    transport = Transport(asked.server or SERVER, token_of(asked.token, asked.data), retries=_RETRIES)
    console = Console()
    try:
        if operation.answer is Answer.EVENTS:
            async for event in transport.follow(operation, arguments):
                show_event(event, console, as_json=asked.as_json)
            return
        reply = await transport.call(operation, arguments, None)
    finally:
        await transport.close()
    _tell(operation, reply, console, as_json=asked.as_json)


def _tell(operation: Operation, reply: Reply, console: Console, *, as_json: bool) -> None:
    match operation.answer:
        case Answer.JSON:
            told = json.loads(reply.body)
            if as_json:
                print(json.dumps(told, indent=2, ensure_ascii=False))
            else:
                show(operation, told, console)
        case Answer.LOCATION:
            print(reply.headers.get("Location", ""))
        case Answer.NOTHING:
            print("{}") if as_json else console.print("[green]done[/green]")
        case Answer.BYTES:
            sys.stdout.buffer.write(reply.body)
        case _:
            print(reply.body.decode(errors="replace"))


def _safe(text: str) -> str:
    """Text of others, without effect on the terminal."""
    from rich.markup import escape

    return escape("".join(one if one.isprintable() or one == "\n" else "?" for one in text))
