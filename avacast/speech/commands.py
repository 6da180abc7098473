"""The commands of the speech services: `avacast tts`, `avacast asr`, and `avacast speech up` and `down` for several of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avacast.options import Data, HttpPort, LogLevel, Progress, console, finish, given, port_option, run_role
from common.log import configure

SpeechConnections = Annotated[
    int | None,
    typer.Option(
        "--connections", envvar="AVACAST_SPEECH_CONNECTIONS", min=1, help="Most connections at once."
    ),
]
SpeechThreads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        envvar="AVACAST_SPEECH_THREADS",
        min=0,
        help="Threads for its work; 0: half of the cores.",
    ),
]
HttpHost = Annotated[
    str | None,
    typer.Option(
        "--http-host",
        envvar="AVACAST_HTTP_HOST",
        help="Address to listen on; only this machine when not given.",
    ),
]


def tts(
    http_port: HttpPort = None,
    http_host: HttpHost = None,
    voice: Annotated[
        str | None,
        typer.Option(
            envvar="AVACAST_VOICE",
            help="kokoro, piper, the path of a Piper voice (.onnx), or auto (by speed).",
        ),
    ] = None,
    connections: SpeechConnections = None,
    threads: SpeechThreads = None,
    log_level: LogLevel = "info",
) -> None:
    """Run text to speech for programs: a WebSocket at /v1/stream/tts, port 8002 (docs/speech-services.md)."""
    from common.config import TtsConfig

    settings = TtsConfig(
        **given(
            http_port=http_port,
            http_host=http_host,
            voice=voice,
            speech_connections=connections,
            speech_threads=threads,
        )
    )
    run_role("speech_service.tts", settings, settings.http_port, log_level, label="tts")


def asr(
    http_port: HttpPort = None,
    http_host: HttpHost = None,
    compute_type: Annotated[
        str | None,
        typer.Option(
            envvar="AVACAST_COMPUTE_TYPE",
            help="The recogniser's arithmetic: int8 or float32 on CPUs, int8_float16 or float16 on GPUs.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(envvar="AVACAST_ASR_DEVICE", help="cpu, cuda or auto.")
    ] = None,
    connections: SpeechConnections = None,
    threads: SpeechThreads = None,
    log_level: LogLevel = "info",
) -> None:
    """Run speech to text for programs: a WebSocket at /v1/stream/asr, port 8001 (docs/speech-services.md)."""
    from common.config import AsrConfig

    if device not in (None, "cpu", "cuda", "auto"):
        raise typer.BadParameter(f"a device is cpu, cuda or auto, not {device!r}")
    settings = AsrConfig(
        **given(
            http_port=http_port,
            http_host=http_host,
            compute_type=compute_type,
            asr_device=device,
            speech_connections=connections,
            speech_threads=threads,
        )
    )
    run_role("speech_service.asr", settings, settings.http_port, log_level, label="asr")


speech_app = typer.Typer(no_args_is_help=True, help="The speech services of this machine, all at once.")


@speech_app.command("up")
def speech_up(
    asr: Annotated[
        int | None,
        typer.Option(envvar="AVACAST_ASR_INSTANCES", min=0, max=6, help="Instances of speech to text."),
    ] = None,
    tts: Annotated[
        int | None,
        typer.Option(envvar="AVACAST_TTS_INSTANCES", min=0, max=6, help="Instances of text to speech."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            envvar="AVACAST_FRONT_HOST", help="Address to listen on; only this machine when not given."
        ),
    ] = None,
    asr_port: Annotated[
        int | None,
        port_option("AVACAST_ASR_PORT", "Front end of speech to text; 0: all ports are free ones."),
    ] = None,
    tts_port: Annotated[
        int | None,
        port_option("AVACAST_TTS_PORT", "Front end of text to speech; 0: all ports are free ones."),
    ] = None,
    cluster_port: Annotated[
        int | None,
        port_option("AVACAST_CLUSTER_PORT", "Health and metrics of the whole."),
    ] = None,
    sticky: Annotated[
        bool | None,
        typer.Option("--sticky/--least-connections", help="Choose instances by the clients' addresses."),
    ] = None,
    data: Data = Path(".avacast"),
    log_level: LogLevel = "info",
) -> None:
    """Run instances of both services behind nginx, and keep them running until Ctrl-C or `avacast speech down`.

    Instances take their own settings from the environment: AVACAST_VOICE, AVACAST_COMPUTE_TYPE, AVACAST_SPEECH_CONNECTIONS and so on.
    """
    configure(log_level)
    from avacast.process import Close, run
    from avacast.speech.cluster import CLOSE_S, Cluster
    from common.config import SpeechClusterConfig

    chosen = given(
        asr_instances=asr,
        tts_instances=tts,
        front_host=host,
        asr_port=asr_port,
        tts_port=tts_port,
        cluster_port=cluster_port,
        sticky=sticky,
        data=data,
    )
    settings = SpeechClusterConfig(**chosen)
    if not settings.asr_instances + settings.tts_instances:
        raise typer.BadParameter("--asr and --tts are both 0: there is nothing to run")
    cluster = Cluster(settings, Progress().say)

    async def start() -> Close:
        await cluster.start()
        fronts = {
            front.service: f"ws://127.0.0.1:{front.port}/v1/stream/{front.service}"
            for front in cluster.fronts
        }
        health = f"http://127.0.0.1:{cluster.health_port}"
        console.print(
            "\n  [bold green]The speech services are up.[/bold green]  [dim]Ctrl-C ends them.[/dim]"
        )
        for service, url in fronts.items():
            console.print(f"  [dim]{service}[/dim]     {url}")
        console.print(f"  [dim]health[/dim]  {health}/health   [dim]logs[/dim] {cluster.folder / 'logs'}")
        print(
            f"ready {health}/ " + " ".join(f"{service}={url}" for service, url in fronts.items()), flush=True
        )
        return cluster.close

    finish(partial(run, close_s=CLOSE_S), start)


@speech_app.command("down")
def speech_down(data: Data = Path(".avacast")) -> None:
    """End the cluster of this data folder, from another terminal, or what is left of one that was killed."""
    from avacast.speech.state import down

    found = down(data)
    console.print(f"ended: {found} processes" if found else "nothing of this data folder runs")
