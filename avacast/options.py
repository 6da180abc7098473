"""What the commands share: options that several have, how a role is started and served, and how a start that failed is told."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from avacast.problems import told
from common.errors import Problem
from common.log import configure

console = Console(stderr=True, highlight=False)


def port_option(environment: str, what: str, *names: str) -> Any:
    """The option of a port; `names` as typer takes them."""
    return typer.Option(*names, envvar=environment, min=0, max=65535, help=what)


Data = Annotated[Path, typer.Option(envvar="AVACAST_DATA", help="Folder for keys, databases and caches.")]
HttpPort = Annotated[
    int | None,
    port_option("AVACAST_HTTP_PORT", "HTTP port; 0 takes a free one.", "--http-port"),
]
MediaPort = Annotated[
    int | None,
    port_option("AVACAST_MEDIA_PORT", "UDP and TCP port for media.", "--media-port"),
]
PublicIp = Annotated[
    list[str] | None,
    typer.Option(
        "--public-ip",
        help="Address that viewers reach this node at, or stun:HOST:PORT to learn it; repeat it for several."
        " Also AVACAST_PUBLIC_IP, with commas.",
    ),
]
Region = Annotated[
    str | None, typer.Option(envvar="AVACAST_REGION", help="Region of this node, such as eu-west-1.")
]
Orchestrators = Annotated[
    str | None,
    typer.Option(
        "--orchestrators", envvar="AVACAST_ORCHESTRATORS", help="URLs of the orchestrators, comma separated."
    ),
]
Url = Annotated[
    str | None, typer.Option("--url", envvar="AVACAST_URL", help="URL that others reach this node at.")
]
LogLevel = Annotated[
    str, typer.Option("--log-level", envvar="AVACAST_LOG_LEVEL", help="debug, info, warning or error.")
]


class Progress:
    """Steps of a start-up: a line each, so that a log keeps them and a person sees that it moves."""

    def say(self, step: str) -> None:
        console.print(f"[dim]•[/dim] {step}")


def finish(run: Any, start: Any) -> None:
    """Runs `start` by `run` to its end, and ends the command with its status; what went wrong is told."""
    try:
        code = run(start)
    except Problem as problem:
        console.print(told(problem))
        code = 1
    except OSError as error:
        console.print(f"[red]{error.strerror or error}[/red]" + _port_hint(error))
        code = 1
    raise typer.Exit(code)


def _port_hint(error: OSError) -> str:
    return (
        "\nAnother program has that port: choose others with --http-port, --hls-port and --media-port, or in AVACAST_FURTHER_PORTS."
        if error.errno == 98
        else ""
    )


def given(**options: Any) -> dict[str, Any]:
    """The options that were given: the others come from the environment, then from their defaults."""
    return {name: value for name, value in options.items() if value is not None}


def listed(text: str | None) -> list[str] | None:
    """The parts of a text with commas; None stays None: not given."""
    return None if text is None else [one.strip() for one in text.split(",") if one.strip()]


def run_role(module: str, settings: Any, port: int, log_level: str, *, label: str = "") -> None:
    """Starts one role and serves it on its own HTTP port. `label` is its name where that is not the package's."""
    import importlib

    from avacast.pages import add_pages
    from avacast.process import Ending, free_port, run
    from common.http import Site

    configure(log_level)
    role = label or module.partition(".")[0]
    if hasattr(settings, "url"):
        port = port or free_port()
        settings.url = settings.url or f"http://127.0.0.1:{port}"

    async def start() -> Ending:
        handle = await importlib.import_module(module).start(settings)
        try:
            if role == "orchestrator":
                add_pages(handle.app)
            site = Site(handle.app, settings.http_host, port, getattr(settings, "further_ports", ()))
            await site.start()
        except BaseException:
            await handle.close()
            raise

        async def close() -> None:
            await site.close()
            await handle.close()

        served = ", ".join(f"http://127.0.0.1:{one}" for one in (site.port, *site.further))
        console.print(f"[green]{role}[/green] at {served}  [dim]Ctrl-C ends it.[/dim]")
        print(f"ready http://127.0.0.1:{site.port}/", flush=True)
        leave = getattr(handle, "leave", None)
        return Ending(close, None if leave is None else functools.partial(leave, "SIGTERM"))

    finish(run, start)
