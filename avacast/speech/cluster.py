"""The speech services of one machine: instances as processes of their own, nginx before them, each started again when it ends.

In `DATA/speech`: nginx.conf (written at each start), logs/asr-8001.log and so on (one an instance, appended), cluster.json (which processes
are ours, for `avacast speech down`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import aiohttp
from aiohttp import web

from avacast.process import free_port
from avacast.speech.front import Front, nginx_config
from avacast.speech.keeper import Action, Keeper, Phase
from avacast.speech.state import alive, forget, write
from common import metrics
from common.config import SpeechClusterConfig, SpeechInstance
from common.errors import NotFound, Problem
from common.http import Site, application
from common.log import log
from common.tasks import end_tasks

_log = log("speech")

Report = Callable[[str], None]

_ANSWER_S = 5.0
"""An instance that takes longer to say how it is has failed the check."""
_END_S = 3.0
"""Time for a process to end by itself."""
CLOSE_S = 8.0
"""Time for the whole to end."""
_POLL_S = 0.05
_STEP = 10
"""Ports of the instances of a service: 8001, 8011, 8021, ..."""

_UP = metrics.gauge("speech_instances_up", "Instances that answer", ("service",))
_RESTARTS = metrics.counter("speech_instance_restarts_total", "Processes started again", ("name",))


class Kept:
    """A process that is kept alive. `address` answers at /health, or (nginx) is open when it is ready."""

    def __init__(self, name: str, port: int, command: list[str], log_file: Path, *, http: bool) -> None:
        self.name, self.port = name, port
        self.keeper = Keeper()
        self.process: asyncio.subprocess.Process | None = None
        self.log_file = log_file
        self._command = command
        self._http = http

    async def start(self, environment: dict[str, str]) -> None:
        """Runs it. It is in a session of its own: Ctrl-C reaches the cluster, which ends all in its order."""
        with self._open_log() as output:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    async def well(self) -> bool:
        """Whether it answers."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                if self._http:
                    return bool((await self.health()).get("ready"))
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return True
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError):
            return False

    async def health(self) -> dict[str, Any]:
        """Its /health."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/health") as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return found

    def end(self, *, kill: bool = False) -> None:
        """Ends it."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill() if kill else self.process.terminate()

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-6:])
        return ""

    def _open_log(self) -> IO[bytes]:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        return self.log_file.open("ab")


class Cluster:
    """The running whole; `close` ends it."""

    def __init__(self, config: SpeechClusterConfig, report: Report) -> None:
        self._config = config
        self._report = report
        self.folder = (config.data / "speech").resolve()
        self.fronts: list[Front] = []
        self.health_port = 0
        self._instances: dict[str, list[Kept]] = {}
        self._nginx: Kept | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._failed: Problem | None = None
        self._site: Site | None = None
        self._closing = False

    async def start(self) -> None:
        """Starts everything and waits until all of it answers. On failure what had started is closed. Raises Problem."""
        if shutil.which("nginx") is None:
            raise Problem(
                "nginx is not installed: it is what spreads connections over the instances",
                code="nginx_missing",
                hint="Debian and Ubuntu: sudo apt-get install nginx-light. Without it, one instance: `avacast asr`, `avacast tts`.",
            )
        if (state := alive(self.folder)) is not None:
            raise Problem(
                f"a cluster with this data folder runs already, as process {state['pid']}",
                code="speech_running",
                hint="`avacast speech down` ends it; --data gives another one a folder of its own",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        config = self._config
        counts = {
            "asr": (config.asr_instances, config.asr_port),
            "tts": (config.tts_instances, config.tts_port),
        }
        free = 0 in (config.asr_port, config.tts_port)
        for index, (service, (count, port)) in enumerate(counts.items()):
            if not count:
                continue
            ports = [free_port() if free else 8001 + index + _STEP * one for one in range(count)]
            self.fronts.append(Front(service, port or free_port(), tuple(ports)))
            self._instances[service] = [self._instance(service, one) for one in ports]
            self._report(f"{service}: {', '.join(map(str, ports))}")
        _look_at_ports(config.front_host, [front.port for front in self.fronts])
        _look_at_ports("127.0.0.1", [port for front in self.fronts for port in front.instances])
        self._site = Site(self._app(), "127.0.0.1", config.cluster_port)
        await self._site.start()
        self.health_port = self._site.port
        everyone = [one for instances in self._instances.values() for one in instances]
        await self._run(everyone)
        self._report("nginx")
        self._nginx = self._front()
        await self._run([self._nginx])

    async def close(self) -> None:
        """Ends nginx, then the instances; who does not end in time is killed."""
        self._closing = True
        await end_tasks(*self._tasks)
        everyone = [one for instances in self._instances.values() for one in instances]
        everyone += [self._nginx] if self._nginx else []
        for one in everyone:
            one.end()
        waits = [asyncio.ensure_future(one.process.wait()) for one in everyone if one.process is not None]
        if waits:
            _, late = await asyncio.wait(waits, timeout=_END_S)
            if late:
                for one in everyone:
                    one.end(kill=True)
                await asyncio.wait(late, timeout=_END_S)
        if self._site is not None:
            await self._site.close()
        if self._tasks:
            forget(self.folder)

    def _instance(self, service: str, port: int) -> Kept:
        command = [
            sys.executable,
            "-m",
            "avacast",
            service,
            "--http-port",
            str(port),
            "--http-host",
            "127.0.0.1",
        ]
        name = f"{service}-{port}"
        return Kept(name, port, command, self.folder / "logs" / f"{name}.log", http=True)

    def _front(self) -> Kept:
        (self.folder / "temporary").mkdir(exist_ok=True)
        text = nginx_config(
            self.folder,
            self._config.front_host,
            self.fronts,
            health_port=self.health_port,
            connections=SpeechInstance().speech_connections,
            sticky=self._config.sticky,
        )
        file = self.folder / "nginx.conf"
        file.write_text(text)
        errors = self.folder / "logs/nginx.error.log"
        command = ["nginx", "-p", str(self.folder), "-c", str(file), "-e", str(errors)]
        return Kept("nginx", self.fronts[0].port, command, errors, http=False)

    async def _run(self, kept: list[Kept]) -> None:
        """Starts these and keeps them; returns when all are up. Raises Problem when one ends before it was."""
        self._tasks += [asyncio.create_task(self._keep(one), name=one.name) for one in kept]
        while not all(one.keeper.phase is Phase.UP for one in kept):
            self._changed.clear()
            await self._changed.wait()
            if self._failed is not None:
                raise self._failed

    async def _keep(self, kept: Kept) -> None:
        """The life of one process, again and again."""
        keeper, was_up = kept.keeper, False
        while True:
            match keeper.handle_timeout(time.monotonic()):
                case Action.START:
                    if keeper.restarts:
                        _RESTARTS.labels(kept.name).inc()
                        _log.warning("process:again", name=kept.name, restarts=keeper.restarts)
                    await kept.start(self._environment())
                    self._write_state()
                case Action.CHECK:
                    keeper.checked(time.monotonic(), well=await kept.well())
                case Action.KILL:
                    _log.error("process:hangs", name=kept.name, phase=str(keeper.phase))
                    kept.end(kill=True)
                case None:
                    pass
            await self._wait(kept)
            if (
                kept.process is not None
                and kept.process.returncode is not None
                and keeper.phase is not Phase.DOWN
            ):
                _log.warning("process:ended", name=kept.name, status=kept.process.returncode)
                keeper.exited(time.monotonic())
                if not was_up:
                    self._failed = Problem(
                        f"{kept.name} ended with {kept.process.returncode} before it was ready",
                        code="instance_failed",
                        hint=f"its log, {kept.log_file}, ends with:\n{kept.last_words()}",
                    )
            was_up = was_up or keeper.phase is Phase.UP
            self._count()
            self._changed.set()

    async def _wait(self, kept: Kept) -> None:
        """Until the process has ended, has become ready, or something is due."""
        keeper, process = kept.keeper, kept.process
        if keeper.phase is Phase.STARTING:
            if await kept.well():
                keeper.started(time.monotonic())
                return
            await asyncio.sleep(_POLL_S)
            return
        left = max(0.0, keeper.poll_timeout() - time.monotonic())
        if keeper.phase is Phase.UP and process is not None and process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), left)
        else:
            await asyncio.sleep(left)

    def _environment(self) -> dict[str, str]:
        """That of the cluster; the cores are shared out where nobody has said how many threads an instance has."""
        count = sum(len(one) for one in self._instances.values())
        each = max(1, (os.cpu_count() or 1) // max(1, count))
        return {"AVACAST_SPEECH_THREADS": str(each), **os.environ}

    def _write_state(self) -> None:
        processes = [one.process for instances in self._instances.values() for one in instances]
        processes += [self._nginx.process] if self._nginx else []
        pids = [one.pid for one in processes if one is not None and one.returncode is None]
        write(self.folder, pids)

    def _count(self) -> None:
        for service, instances in self._instances.items():
            _UP.labels(service).set(sum(one.keeper.phase is Phase.UP for one in instances))

    def _app(self) -> web.Application:
        app = application("speech", self._facts)
        app.router.add_get("/health/{service}", self._service_health)
        return app

    def _facts(self) -> dict[str, Any]:
        services = {
            service: {
                one.name: {"phase": one.keeper.phase, "restarts": one.keeper.restarts} for one in instances
            }
            for service, instances in self._instances.items()
        }
        everyone = [one for instances in self._instances.values() for one in instances]
        return {
            "ready": all(one.keeper.phase is Phase.UP for one in everyone),
            "services": services,
            "fronts": {front.service: front.port for front in self.fronts},
        }

    async def _service_health(self, request: web.Request) -> web.Response:
        """All instances of a service, asked now."""
        service = request.match_info["service"]
        if service not in self._instances:
            raise NotFound(f"no service {service!r} runs here: {', '.join(self._instances)} do")

        async def ask(one: Kept) -> dict[str, Any]:
            said: dict[str, Any] = {}
            with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError, ValueError):
                async with asyncio.timeout(_ANSWER_S):
                    said = await one.health()
            known = {"name": one.name, "up": bool(said), "restarts": one.keeper.restarts}
            return {**said, **known}

        instances = await asyncio.gather(*(ask(one) for one in self._instances[service]))
        up = [one for one in instances if one["up"]]
        status = "ok" if len(up) == len(instances) else "degraded" if up else "down"
        body = {
            "status": status,
            "role": service,
            "active_connections": sum(one["active_connections"] for one in up),
            "limit": sum(one["limit"] for one in up),
            "instances": instances,
        }
        return web.json_response(body, status=200 if up else 503)


def _look_at_ports(host: str, ports: list[int]) -> None:
    """Raises Problem when another program has one: what answers there would be taken for ours."""
    for port in ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Problem(
                    f"port {port} of {host} cannot be listened on: {error.strerror}",
                    code="port_taken",
                    hint="another program has it (`ss -ltnp` says which): end that, or choose --asr-port and --tts-port",
                ) from error
