"""A command for each operation, made from the same table as the client: `avacast broadcasts say demo "Hello"`.

What an operation needs are arguments, the rest are options. An operation that is new in the API is here as soon as `make client` has
run; only its columns (answers.py) are worth a line of their own.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from avacast.client.generated.operations import OPERATIONS
from avacast.client.operation import Kind, Operation, Parameter, Where

GROUPS = {
    "broadcasts": "Broadcasts: make, list, talk, deliver, end.",
    "sessions": "Sessions: one person with an avatar.",
    "recordings": "Recordings of broadcasts.",
    "jobs": "Films of an avatar or a photo that speaks: make, list, cancel, retry.",
    "uploads": "Photos and recordings of speech that films are made of.",
    "nodes": "Nodes: list, drain.",
    "scaling": "How many nodes each pool should have, and why.",
    "cdn": "Which CDN is before the packagers, and how it is.",
    "cost": "What machines, streams, sessions, broadcasts and films cost.",
    "rollouts": "Rollouts: a new version of a pool, user by user, and back.",
    "keys": "API keys: make, list, rotate, revoke.",
    "webhooks": "Webhooks: addresses that are told what happens.",
    "audit": "Who did what.",
    "events": "What happens, as it happens.",
    "sfu": "The figures of all media cores.",
    "about": "The orchestrator itself: health, metrics, the document of its API.",
}
"""Help of each group; those that are not here are told by their first operation."""
HIDDEN = frozenset({"viewers", "whep", "whip", "worker", "mediasoup"})
"""Groups for players and nodes: they work, and help does not name them."""
_PANEL = "Operate a cluster"

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="AVACAST_SERVER",
        help="The orchestrator's address.",
        show_default="http://127.0.0.1:8080",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", help="Your token; from AVACAST_TOKEN, AVACAST_ADMIN_TOKEN or --data when not given."
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="AVACAST_DATA", help="The orchestrator's data folder, with its admin token."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, as the API answers, instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_COMMON: dict[str, tuple[Any, Any]] = {
    "server": (Server, None),
    "token": (Token, None),
    "data": (Data, Path(".avacast")),
    "as_json": (AsJson, False),
}


class ListsByDefault(TyperGroup):
    """A group that lists when nothing else is asked of it: `avacast nodes` is `avacast nodes list`."""

    default: ClassVar[str] = "list"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def add_commands(app: typer.Typer) -> None:
    """Adds all groups to the command line."""
    groups: dict[str, list[Operation]] = {}
    for operation in OPERATIONS.values():
        groups.setdefault(operation.group, []).append(operation)
    for name in sorted(
        groups, key=lambda one: (list(GROUPS).index(one) if one in GROUPS else len(GROUPS), one)
    ):
        operations = groups[name]
        text = GROUPS.get(name, f"{operations[0].summary}, and more.")
        if len(operations) == 1 and _is_alone(operations[0]):
            app.command(name, help=text, rich_help_panel=_PANEL)(command_of(operations[0]))
            continue
        lists = any(one.verb == "list" and not _needed(one) for one in operations)
        group = typer.Typer(
            name=name,
            help=text,
            cls=ListsByDefault if lists else TyperGroup,
            no_args_is_help=not lists,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        for one in operations:
            group.command(command_name(one), help=_help(one))(command_of(one))
        if name == "jobs":
            group.command("make")(_make)
        app.add_typer(group, hidden=name in HIDDEN, rich_help_panel=_PANEL)


def _make(
    out: Annotated[Path, typer.Option("--out", "-o", help="The film, an .mp4.", dir_okay=False)],
    text: Annotated[str | None, typer.Option(help="What is said.")] = None,
    audio: Annotated[
        Path | None, typer.Option(help="A recording of speech, in its place.", exists=True, dir_okay=False)
    ] = None,
    avatar: Annotated[
        str | None, typer.Option(help="Who speaks: a person or package.", show_default="ava")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A photo of who speaks, in its place.", exists=True, dir_okay=False)
    ] = None,
    voice: Annotated[
        str | None, typer.Option(help="Voice of a text.", show_default="the avatar's own")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT.", show_default="854x480; 512x512 of a photo")
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="keep, or a colour such as #00ff00.", show_default="keep")
    ] = None,
    server: Server = None,
    token: Token = None,
    data: Data = Path(".avacast"),
    as_json: AsJson = False,
) -> None:
    """Make a film: upload, order, wait with a progress bar, fetch. Ctrl-C cancels the job."""
    from avacast.operate.film import FilmWish, make_film
    from avacast.operate.run import Asked

    wish = FilmWish(out, text, audio, avatar, image, voice, size, background)
    raise typer.Exit(make_film(wish, Asked(server, token, data, as_json, yes=True)))


def command_name(operation: Operation) -> str:
    """Its name within the group."""
    return "show" if operation.verb == "read" else operation.verb.replace("_", "-")


def spelled(operation: Operation) -> str:
    """The whole command as people type it, without options."""
    words = [operation.group] if _is_alone(operation) else [operation.group, command_name(operation)]
    return " ".join(["avacast", *words, *(one.name.upper() for one in _needed(operation))])


def _is_alone(operation: Operation) -> bool:
    """A group of one that reads needs no verb: `avacast cost`, `avacast events`."""
    return (
        operation.verb in ("read", "follow")
        and not _needed(operation)
        and (sum(one.group == operation.group for one in OPERATIONS.values()) == 1)
    )


def _needed(operation: Operation) -> list[Parameter]:
    return [one for one in operation.parameters if one.required]


def _help(operation: Operation) -> str:
    who = f"\n\nNeeds the token of: {' or '.join(operation.tokens)}." if operation.tokens else ""
    return f"{operation.summary}.{who}"


def command_of(operation: Operation) -> Callable[..., None]:
    """The function that Typer makes a command of: its signature is that of the operation."""

    def run(**given: Any) -> None:
        from avacast.operate.run import Asked, run_operation

        asked = Asked(**{name: given.pop(name) for name in _COMMON}, yes=given.pop("yes", True))
        arguments = {
            one.name: _value(one, given[one.name])
            for one in operation.parameters
            if given[one.name] is not None
        }
        raise typer.Exit(run_operation(operation, arguments, asked))

    told: list[tuple[str, Any, Any]] = [_argument(one) for one in _needed(operation)]
    told += [_option(one) for one in operation.parameters if not one.required]
    if operation.method == "DELETE" and operation.verb in ("end", "delete"):
        told.append(("yes", Yes, False))
    told += [(name, kind, default) for name, (kind, default) in _COMMON.items()]
    named = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, named, default=default, annotation=kind) for name, kind, default in told
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {name: kind for name, kind, _ in told}
    run.__name__ = operation.id
    return run


def _argument(one: Parameter) -> tuple[str, Any, Any]:
    if one.where is Where.FILE:
        kind = Annotated[
            Path, typer.Argument(help="A file.", show_default=False, exists=True, dir_okay=False)
        ]
        return one.name, kind, inspect.Parameter.empty
    text = one.text + (" A file: @FILE." if one.kind is Kind.JSON or one.where is Where.SDP else "")
    return (
        one.name,
        Annotated[_type(one), typer.Argument(help=text, show_default=False)],
        inspect.Parameter.empty,
    )


def _option(one: Parameter) -> tuple[str, Any, Any]:
    name = "--" + one.spelled.replace("_", "-")
    text = one.text + (f" [dim]\\[default: {one.default}][/dim]" if one.default else "")
    if one.kind is Kind.JSON:
        text += " With commas, as JSON, or @FILE."
    names = f"{name}/--no-{name[2:]}" if one.kind is Kind.FLAG else name
    return one.name, Annotated[_type(one) | None, typer.Option(names, help=text, show_default=False)], None


def _type(one: Parameter) -> Any:
    if one.choices:
        return StrEnum(one.name.title(), {choice.upper(): choice for choice in one.choices})
    return {Kind.INTEGER: int, Kind.NUMBER: float, Kind.FLAG: bool}.get(one.kind, str)


def _value(one: Parameter, given: Any) -> Any:
    """What is sent for what was typed. A path, or `@FILE`, is what the file holds, `@-` what comes on standard input."""
    if isinstance(given, Path):
        return given.read_bytes()
    if isinstance(given, str) and given.startswith("@") and (one.kind is Kind.JSON or one.where is Where.SDP):
        given = _read(given[1:])
    if one.kind is not Kind.JSON:
        return str(given) if isinstance(given, StrEnum) else given
    if not given.lstrip().startswith(("[", "{", '"')):
        return [part.strip() for part in given.split(",") if part.strip()]
    try:
        return json.loads(given)
    except ValueError as error:
        raise typer.BadParameter(f"{one.name} is no JSON: {error}") from None


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{name}: {error}") from None


def visible() -> Sequence[Operation]:
    """The operations that help names."""
    return [one for one in OPERATIONS.values() if one.group not in HIDDEN]
