"""The shipped CDN configurations at work: Debian's nginx and Varnish before packagers on loopback, each on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from avacast.process import free_port

INFRA = Path(__file__).parents[2] / "infra/cdn"
START_S = 30.0

Certificate = tuple[Path, Path]


@dataclass(frozen=True)
class Cache:
    """A running one. `url` has no slash at its end."""

    kind: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def nginx_config(
    folder: Path, port: int, packagers: Sequence[int], recorder: int, certificate: Certificate | None
) -> str:
    """infra/cdn/nginx.conf with what its head says is to be changed, inside of the least main configuration."""
    servers = "\n".join(
        f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=5s{' backup' if index else ''};"
        for index, port in enumerate(packagers)
    )
    listen = f"127.0.0.1:{port}" + (" ssl http2" if certificate else "")
    paths = (
        [f"    ssl_certificate {certificate[0]};\n", f"    ssl_certificate_key {certificate[1]};\n"]
        if certificate
        else ["", ""]
    )
    site = _replaced(
        (INFRA / "nginx.conf").read_text(),
        ("    server 127.0.0.1:8088 max_fails=1 fail_timeout=5s;", servers),
        ("    server 127.0.0.1:8080 max_fails=1 fail_timeout=5s;", f"    server 127.0.0.1:{recorder};"),
        ("/var/cache/nginx/avacast", str(folder / "cache")),
        ("/var/log/nginx/avacast.log", str(folder / "access.log")),
        ("/var/log/nginx/avacast.error.log", str(folder / "site.error.log")),
        ("listen 443 ssl http2;", f"listen {listen};"),
        ("    ssl_certificate /etc/nginx/avacast.pem;\n", paths[0]),
        ("    ssl_certificate_key /etc/nginx/avacast.key;\n", paths[1]),
    )
    (folder / "site.conf").write_text(site)
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn; user root;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {temporary}\n include {folder}/site.conf; }}\n"
    )


def varnish_config(packagers: Sequence[int], recorder: int) -> str:
    """infra/cdn/varnish.vcl before these packagers."""
    text = _replaced((INFRA / "varnish.vcl").read_text(), ('.port = "8080"', f'.port = "{recorder}"'))
    before, first, second = text.split('.port = "8088"')
    return f'{before}.port = "{packagers[0]}"{first}.port = "{packagers[-1]}"{second}'


def _prepare(
    kind: str,
    folder: Path,
    port: int,
    packagers: Sequence[int],
    recorder: int,
    certificate: Certificate | None,
) -> list[str]:
    """Writes the configuration into a new folder; the command that runs it."""
    folder.mkdir()
    folder.chmod(0o755)
    if kind == "nginx":
        (folder / "nginx.conf").write_text(nginx_config(folder, port, packagers, recorder, certificate))
        return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    (folder / "site.vcl").write_text(varnish_config(packagers, recorder))
    listen = ["-a", f"127.0.0.1:{port}", "-T", "none", "-n", str(folder / "work")]
    return ["varnishd", "-F", "-j", "none", *listen, "-f", str(folder / "site.vcl"), "-s", "malloc,64m"]


@asynccontextmanager
async def cache(
    kind: str,
    folder: Path,
    packagers: Sequence[int],
    *,
    recorder: int | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[Cache]:
    """`nginx` or `varnish` before the packagers at these ports; the first answers while it can. `recorder`: the control port of
    those with recordings. nginx with a certificate (chain, key)
    speaks TLS and HTTP/2. Skips where it is not installed."""
    program = {"nginx": "nginx", "varnish": "varnishd"}[kind]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: bash infra/setup/tools.sh test")
    port = free_port()
    command = _prepare(kind, folder, port, packagers, recorder or packagers[0], certificate)
    with (folder / "output.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await _until_open(process, port, folder)
        yield Cache(kind, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_open(process: asyncio.subprocess.Process, port: int, folder: Path) -> None:
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            said = (folder / "output.log").read_text()
            assert process.returncode is None, f"it ended with {process.returncode}: {said}"
            await asyncio.sleep(0.02)
