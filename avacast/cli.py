"""The command line, `avacast`. Each command parses, loads and runs; what it runs lives in the roles."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from avacast import __version__
from avacast.avatars import avatar_app
from avacast.operate.commands import add_commands
from avacast.options import (
    Data,
    HttpPort,
    LogLevel,
    MediaPort,
    Orchestrators,
    Progress,
    PublicIp,
    Region,
    Url,
    console,
    finish,
    given,
    listed,
    port_option,
    run_role,
)
from avacast.problems import told
from avacast.speech.commands import asr, speech_app, tts
from common.errors import Problem
from common.log import configure

app = typer.Typer(
    name="avacast",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Avatars that talk live to any number of people.\n\n"
    "Start with [bold]avacast up[/bold] and open the address that it prints. In a cluster each role runs by itself: "
    "an [bold]orchestrator[/bold], [bold]origin[/bold]s, [bold]relay[/bold]s, [bold]hls[/bold] packagers.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"avacast {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Holds the options that stand before a command."""


@app.command()
def up(
    http_port: Annotated[
        int,
        port_option("AVACAST_HTTP_PORT", "HTTP: pages, API, console. 0 takes a free port."),
    ] = 8080,
    hls_port: Annotated[int, port_option("AVACAST_HLS_PORT", "HLS playlists and segments.")] = 8088,
    media_port: Annotated[int, port_option("AVACAST_MEDIA_PORT", "WebRTC media, UDP and TCP.")] = 7900,
    relays: Annotated[
        int,
        typer.Option(
            envvar="AVACAST_RELAYS",
            min=0,
            max=16,
            help="Relays to start beside it, each a process of its own.",
        ),
    ] = 0,
    admin_token: Annotated[
        str,
        typer.Option(
            envvar="AVACAST_ADMIN_TOKEN",
            help="The operators' token; made and kept in the data folder when not given.",
        ),
    ] = "",
    data: Data = Path(".avacast"),
    avatar: Annotated[
        bool, typer.Option("--avatar/--no-avatar", envvar="AVACAST_AVATAR", help="Render the demo's avatar.")
    ] = True,
    person: Annotated[
        str, typer.Option(envvar="AVACAST_PERSON", help="Who presents the demo: ava, ben, luma, mei or omar.")
    ] = "ava",
    public_ip: PublicIp = None,
    log_level: LogLevel = "warning",
) -> None:
    """Run everything on this machine, with an avatar that talks: the demo, and the smallest production."""
    configure(log_level)
    from avacast.process import Close, run
    from avacast.up import Options, Up
    from origin.avatar.person import shipped

    if person not in shipped():
        raise typer.BadParameter(f"no person {person!r} is shipped; there are: {', '.join(shipped())}")
    options = Options(
        http_port,
        hls_port,
        media_port,
        relays,
        admin_token,
        data,
        avatar,
        person,
        public_ip=tuple(public_ip or ()),
    )
    whole = Up(options, Progress().say)

    async def start() -> Close:
        await whole.start()
        _welcome(whole, relays, person if avatar else "")
        return whole.close

    finish(run, start)


def _welcome(whole: Any, relays: int, person: str) -> None:
    greeting = f"and say hello to {person.title()}" if person else "to watch"
    token = whole.admin_token if console.is_terminal else "in the data folder"
    console.print()
    console.print(f"  [bold green]Avacast is up.[/bold green]  Open [bold]{whole.url}/[/bold] {greeting}.")
    console.print(f"  [dim]console[/dim]  {whole.url}/console   [dim]admin token[/dim] {token}")
    for url in (whole.url, *whole.further_urls):
        console.print(f"  [dim]API[/dim]      {url}/docs")
    console.print(f"  [dim]HLS[/dim]      http://127.0.0.1:{whole.hls_port}/hls/demo/index.m3u8")
    console.print(
        f"  [dim]media[/dim]    UDP and TCP {whole.media_port}" + (f", {relays} relays" if relays else "")
    )
    console.print("  [dim]Ctrl-C ends it.[/dim]")
    print(f"ready {whole.url}/ hls=http://127.0.0.1:{whole.hls_port} media={whole.media_port}", flush=True)


@app.command()
def orchestrator(
    http_port: HttpPort = None,
    data: Data = Path(".avacast"),
    admin_token: Annotated[
        str | None, typer.Option(envvar="AVACAST_ADMIN_TOKEN", help="The operators' token.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(envvar="REDIS_URL", help="Redis for live state; in-process when not given.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(envvar="DATABASE_URL", help="SQL for durable state; SQLite when not given.")
    ] = None,
    hls_url: Annotated[
        str | None, typer.Option(envvar="AVACAST_HLS_URL", help="Base URL of the packagers' HLS listener.")
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Run an orchestrator: who may watch, where to, by WebRTC or HLS."""
    from common.config import OrchestratorConfig

    settings = OrchestratorConfig(
        **given(
            http_port=http_port,
            data=data,
            admin_token=admin_token,
            redis_url=redis_url,
            database_url=database_url,
            hls_url=hls_url,
        )
    )
    run_role("orchestrator.app", settings, settings.http_port, log_level)


@app.command()
def origin(
    http_port: HttpPort = None,
    media_port: MediaPort = None,
    public_ip: PublicIp = None,
    region: Region = None,
    orchestrators: Orchestrators = None,
    url: Url = None,
    data: Data = Path(".avacast"),
    avatar: Annotated[
        bool | None, typer.Option("--avatar/--no-avatar", help="Render avatars on this node.")
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Run an origin: avatars, publishers by WHIP, and the SFU that relays pull from."""
    from common.config import OriginConfig

    settings = OriginConfig(
        **given(
            http_port=http_port,
            media_port=media_port,
            public_ip=public_ip or None,
            region=region,
            orchestrators=listed(orchestrators),
            url=url,
            data=data,
            avatar=avatar,
        )
    )
    run_role("origin.app", settings, settings.http_port, log_level)


@app.command()
def relay(
    http_port: HttpPort = None,
    media_port: MediaPort = None,
    public_ip: PublicIp = None,
    region: Region = None,
    orchestrators: Orchestrators = None,
    url: Url = None,
    upstream: Annotated[
        str | None, typer.Option(envvar="UPSTREAM", help="Base URL of a fixed upstream node.")
    ] = None,
    data: Data = Path(".avacast"),
    log_level: LogLevel = "info",
) -> None:
    """Run a relay: pulls a stream when somebody watches, and fans it out."""
    from common.config import RelayConfig

    settings = RelayConfig(
        **given(
            http_port=http_port,
            media_port=media_port,
            public_ip=public_ip or None,
            region=region,
            orchestrators=listed(orchestrators),
            url=url,
            upstream=upstream,
            data=data,
        )
    )
    run_role("relay.app", settings, settings.http_port, log_level)


@app.command()
def hls(
    http_port: HttpPort = None,
    hls_port: Annotated[
        int | None,
        port_option("AVACAST_HLS_PORT", "Port of the HLS listener."),
    ] = None,
    media_port: MediaPort = None,
    region: Region = None,
    orchestrators: Orchestrators = None,
    url: Url = None,
    data: Data = Path(".avacast"),
    log_level: LogLevel = "info",
) -> None:
    """Run a packager: low-latency and plain HLS of live broadcasts."""
    from common.config import HlsConfig

    settings = HlsConfig(
        **given(
            http_port=http_port,
            hls_port=hls_port,
            media_port=media_port,
            region=region,
            orchestrators=listed(orchestrators),
            url=url,
            data=data,
        )
    )
    run_role("hls.app", settings, settings.http_port, log_level)


app.command()(tts)
app.command()(asr)
app.add_typer(speech_app, name="speech")
app.add_typer(avatar_app, name="avatar")


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A film that FFmpeg can read.")],
    to: Annotated[str, typer.Option("--to", help="WHIP address, such as http://127.0.0.1:8080/whip/show.")],
    token: Annotated[
        str, typer.Option(envvar="AVACAST_PUBLISHER_TOKEN", help="The broadcast's publisher token.")
    ] = "",
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end.")] = False,
) -> None:
    """Publish a film to a broadcast by WHIP."""
    configure("warning")
    from sfu.publish import publish_file

    raise typer.Exit(
        asyncio.run(
            _interruptible(publish_file(file, to, token=token or None, loop=loop, report=_bar("publishing")))
        )
    )


@app.command()
def record(
    whep: Annotated[str, typer.Argument(help="WHEP address, such as http://127.0.0.1:8080/whep/demo.")],
    out: Annotated[Path, typer.Argument(help="MP4 file to write.")],
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to keep; until Ctrl-C when not given.")
    ] = None,
    token: Annotated[
        str, typer.Option(envvar="AVACAST_VIEWER_TOKEN", help="Viewer token of a private broadcast.")
    ] = "",
) -> None:
    """Record a broadcast by WHEP into an MP4 file."""
    configure("warning")
    from sfu.record import record_file

    raise typer.Exit(
        asyncio.run(
            _interruptible(
                record_file(whep, out, seconds=seconds, token=token or None, report=_bar("recording"))
            )
        )
    )


def _bar(verb: str) -> Any:
    """A progress reporter: `report(done_s, total_s | None)`; redraws one line on a terminal."""

    def report(done_s: float, total_s: float | None) -> None:
        if sys.stderr.isatty():
            part = f"{done_s / total_s:4.0%} of {total_s:.0f} s" if total_s else "Ctrl-C ends it"
            sys.stderr.write(f"\r{verb} {done_s:7.1f} s  {part} ")
            sys.stderr.flush()

    return report


async def _interruptible(work: Any) -> int:
    """Runs `work` until it ends or Ctrl-C comes (which lets it finish its file). Returns the exit status."""
    import signal

    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Problem as problem:
        console.print("\n" + told(problem))
        return 1
    except OSError as error:
        console.print(f"\n[red]{error}[/red]")
        return 1
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
    return 0


@app.command()
def render(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The film: .mp4, .webm, or .mov (lossless and large).")
    ],
    text: Annotated[str | None, typer.Option("--text", help="What to say.")] = None,
    text_file: Annotated[
        Path | None, typer.Option("--text-file", exists=True, dir_okay=False, help="A file that holds it.")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio",
            exists=True,
            dir_okay=False,
            help="Somebody's speech (.wav, .mp3, ...): lips follow it.",
        ),
    ] = None,
    person: Annotated[str, typer.Option(help="ava, ben, luma, mei or omar.")] = "ava",
    avatar: Annotated[
        str | None,
        typer.Option(
            help="Another face: a photo (.jpg, .png, .webp), the folder of an avatar package, or its name (avacast avatar list)."
        ),
    ] = None,
    voice: Annotated[
        str,
        typer.Option(
            help="auto, kokoro:VOICE, piper or the path of a Piper voice; auto takes the person's own."
        ),
    ] = "auto",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, such as 1280x720 or 480x854.")] = "854x480",
    tier: Annotated[
        str, typer.Option(help="light, or full: finer hair and shadows, fifty times slower.")
    ] = "light",
    background: Annotated[str, typer.Option(help="keep, #RRGGBB, or transparent (.webm or .mov).")] = "keep",
    captions: Annotated[Path | None, typer.Option(help="WebVTT file to write as well.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Another seed, other blinks and glances.")
    ] = 1,
    start_silence: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds of rest before the speech.")
    ] = 0.5,
    threads: Annotated[int, typer.Option(min=1, max=2, help="Threads that draw.")] = 1,
) -> None:
    """Film an avatar: a text or a recording into a file. The same command goes on with a film that was interrupted."""
    configure("warning")
    from avacast.render import Wish, run_render

    wish = Wish(
        out,
        text,
        text_file,
        audio,
        person,
        voice,
        size,
        tier,
        background,
        captions,
        seed,
        start_silence,
        threads,
        avatar,
    )
    raise typer.Exit(run_render(wish, console))


@app.command("hls-check")
def hls_check(
    url: Annotated[
        str, typer.Argument(help="A playlist, such as http://127.0.0.1:8088/hls/demo/index.m3u8.")
    ],
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to watch.")] = 60,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A broken SHOULD counts too.")] = False,
    slack: Annotated[
        float,
        typer.Option(min=0, max=60, help="Seconds that network and machine may be late in rules about time."),
    ] = 0.25,
    insecure: Annotated[bool, typer.Option("--insecure", help="Take any certificate.")] = False,
) -> None:
    """Watch a broadcast's HLS, anybody's, and say which rules it breaks. Status 0: none; 1: some; 2: nothing to watch."""
    configure("warning")
    from avacast.hls_check import run_check

    raise typer.Exit(run_check(url, seconds, json=json, strict=strict, slack_s=slack, verify=not insecure))


@app.command("path-key")
def path_key() -> None:
    """Print the key of the path tokens of private broadcasts' HLS, for a CDN that checks them itself (CloudFront)."""
    from common.auth import PathTokens
    from common.config import Shared

    typer.echo(PathTokens(Shared().secret()).key)


backup_app = typer.Typer(
    no_args_is_help=True, help="Backups: the database and the node's own avatars, in a store."
)
app.add_typer(backup_app, name="backup")

_BackupStore = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="AVACAST_BACKUPS",
        help="file:///folder, or s3://bucket/prefix?endpoint=...&region=...",
    ),
]
_DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar=["AVACAST_DATABASE_URL", "DATABASE_URL"], help="postgresql://...; SQLite in --data when empty."
    ),
]


@backup_app.command("make")
def backup_make(
    store: _BackupStore,
    data: Data = Path(".avacast"),
    database_url: _DatabaseUrl = "",
    keep: Annotated[int, typer.Option(min=0, help="Forget all but the newest so many; 0: none.")] = 0,
) -> None:
    """Make a backup, while everything runs. Secrets are not in it: keep AVACAST_CLUSTER_SECRET elsewhere."""
    from avacast import backup

    _backup(lambda: backup.make(backup.Place(store, data, database_url), keep, console))


@backup_app.command("list")
def backup_list(store: _BackupStore) -> None:
    """List backups, the newest first."""
    from avacast import backup
    from common.store.opening import open_store

    def told() -> None:
        typer.echo("\n".join(backup.names(open_store(store))) or "none")

    _backup(told)


@backup_app.command("restore")
def backup_restore(
    name: Annotated[str, typer.Argument(help="Its name, or latest.")],
    store: _BackupStore,
    data: Data = Path(".avacast"),
    database_url: _DatabaseUrl = "",
) -> None:
    """Put a backup into an empty database, of either kind; no orchestrator may run on it yet."""
    from avacast import backup

    _backup(lambda: backup.restore(backup.Place(store, data, database_url), name, console))


def _backup(work: Callable[[], object]) -> None:
    configure("warning")
    from common.store.store import StoreError

    try:
        work()
    except Problem as problem:
        console.print(told(problem))
        raise typer.Exit(1) from None
    except (StoreError, OSError) as error:
        console.print(f"[red]✗[/red] {error}")
        raise typer.Exit(1) from None


store_app = typer.Typer(no_args_is_help=True, help="The store of recordings.")
app.add_typer(store_app, name="store")


@store_app.command("init")
def store_init(
    store: Annotated[
        str,
        typer.Option(
            envvar="AVACAST_STORE", help="file:///folder, or s3://bucket/prefix?endpoint=...&region=..."
        ),
    ] = "",
    cold_days: Annotated[
        int, typer.Option(min=1, max=36_500, help="Days after which recordings go to cold storage.")
    ] = 90,
    cold_class: Annotated[
        str,
        typer.Option(help="Its class: GLACIER_IR can be played at once, GLACIER and DEEP_ARCHIVE cannot."),
    ] = "GLACIER_IR",
    versions: Annotated[
        bool,
        typer.Option(
            "--versions", help="Keep what is deleted or overwritten for 30 days (replication needs it)."
        ),
    ] = False,
) -> None:
    """Try a store, and give a bucket its rules; those of others stay. Status 0: ready; 1: not."""
    configure("warning")
    from avacast.store import init

    try:
        raise typer.Exit(init(store, cold_days, cold_class, versions=versions, console=console))
    except Problem as problem:
        console.print(told(problem))
        raise typer.Exit(1) from None


@app.command()
def doctor() -> None:
    """Say what works on this machine: GPU, GSO, codecs, ports, voices."""
    from avacast.doctor import show

    raise typer.Exit(show(Console()))


add_commands(app)


def main() -> None:
    """Entry point of the `avacast` command."""
    app()
