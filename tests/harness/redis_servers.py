"""Redis on loopback: one alone, and as larger sites run it: a primary with a replica and a Sentinel, and a cluster of three."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as redis_client

from avacast.process import free_port

_STARTED_S = 30.0
SERVICE = "avacast"


def _until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + _STARTED_S
    while True:
        with contextlib.suppress(redis_client.RedisError):
            if true():
                return
        assert time.monotonic() < deadline, f"not within {_STARTED_S:g} s: {what}"
        time.sleep(0.02)


class Redis:
    """A Redis server, with `sentinel` (the text of its configuration) one that watches others. `stop` kills it, as a machine that is gone;
    after `start` it is there again with an empty memory."""

    def __init__(self, *options: str, sentinel: str = "") -> None:
        self.port = free_port()
        self.client = redis_client.Redis(port=self.port)
        self._options = [*options, *(["--sentinel"] if sentinel else [])]
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert shutil.which("redis-server"), "redis-server is missing: run `bash infra/setup/tools.sh test`"
        self._folder = tempfile.TemporaryDirectory(prefix="redis")
        file = Path(self._folder.name) / "redis.conf"
        file.write_text(f"bind 127.0.0.1\nport {self.port}\ndir {file.parent}\nsave ''\n{self._sentinel}")
        command = ["redis-server", str(file), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _until(self.client.ping, f"redis-server at {self.port}")

    def stop(self) -> None:
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


@contextmanager
def redis(*options: str, sentinel: str = "") -> Iterator[Redis]:
    """A Redis for one test."""
    server = Redis(*options, sentinel=sentinel)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass
class Watched:
    """A primary and who takes its place."""

    url: str
    primary: Redis
    replica: Redis


@contextmanager
def sentinel() -> Iterator[Watched]:
    """A primary, its replica, and a Sentinel that puts that in its place when it does not answer for half a second."""
    with ExitStack() as running:
        primary = running.enter_context(redis("--repl-diskless-sync-delay", "0"))
        replica = running.enter_context(redis("--replicaof", "127.0.0.1", str(primary.port)))
        _until(lambda: _facts(replica, "replication")["master_link_status"] == "up", "the replica has it all")
        watch = running.enter_context(
            redis(
                sentinel=f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
                f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 2000\n"
            )
        )
        _until(
            lambda: watch.client.execute_command("SENTINEL REPLICAS", SERVICE),
            "the Sentinel knows the replica",
        )
        yield Watched(f"redis+sentinel://127.0.0.1:{watch.port}/{SERVICE}", primary, replica)


@dataclass
class Sharded:
    """The three nodes of a cluster."""

    url: str
    nodes: list[Redis]

    def counts(self) -> list[int]:
        """How many keys each has."""
        return [int(node.client.dbsize()) for node in self.nodes]  # type: ignore[arg-type]


@contextmanager
def cluster() -> Iterator[Sharded]:
    """Three nodes, a third of the slots each."""
    with ExitStack() as running:
        buses = [free_port() for _ in range(3)]
        nodes = [
            running.enter_context(redis("--cluster-enabled", "yes", "--cluster-port", str(bus)))
            for bus in buses
        ]
        for index, node in enumerate(nodes):
            first, last = 16_384 * index // 3, 16_384 * (index + 1) // 3 - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
        _until(lambda: all(_state(node) == "ok" for node in nodes), "all nodes know all slots")
        yield Sharded(f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}", nodes)


def _facts(server: Redis, section: str) -> dict[str, Any]:
    told: Any = server.client.info(section)
    return dict(told)


def _state(server: Redis) -> str:
    told: Any = server.client.execute_command("CLUSTER INFO")
    return str(told.get("cluster_state"))
