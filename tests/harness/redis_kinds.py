"""Redis as larger sites run it, on loopback: a primary with a replica and a Sentinel, and a cluster of three."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from avacast.process import free_port

_STARTED_S = 30.0
SERVICE = "avacast"


def _until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + _STARTED_S
    while True:
        with contextlib.suppress(redis.RedisError):
            if true():
                return
        assert time.monotonic() < deadline, f"not within {_STARTED_S:g} s: {what}"
        time.sleep(0.02)


@dataclass
class Server:
    """One process of Redis with a folder of its own."""

    port: int
    process: subprocess.Popen[bytes]
    client: redis.Redis

    def kill(self) -> None:
        """As a machine that is gone."""
        self.process.kill()
        self.process.wait(10)


@dataclass
class Servers:
    """Starts servers, and ends those that still run."""

    folder: Path
    closing: ExitStack
    started: list[Server] = field(default_factory=list)

    def start(self, *options: str, sentinel: str = "") -> Server:
        """A server, or with `sentinel` (the text of its configuration) one that watches."""
        port = free_port()
        home = self.folder / str(port)
        home.mkdir()
        (home / "redis.conf").write_text(f"bind 127.0.0.1\nport {port}\ndir {home}\nsave ''\n{sentinel}")
        command = ["redis-server", str(home / "redis.conf"), *(["--sentinel"] if sentinel else []), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port)
        server = Server(port, process, client)
        self.closing.callback(server.kill)
        self.closing.callback(client.close)
        _until(client.ping, f"redis-server at {port}")
        self.started.append(server)
        return server


@contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    assert shutil.which("redis-server"), "redis-server is missing: run `bash infra/setup/tools.sh test`"
    with ExitStack() as closing:
        yield Servers(folder, closing)


@dataclass
class Watched:
    """A primary and who takes its place."""

    url: str
    primary: Server
    replica: Server


@contextmanager
def sentinel(folder: Path) -> Iterator[Watched]:
    """A primary, its replica, and a Sentinel that puts that in its place when it does not answer for half a second."""
    with _servers(folder) as servers:
        primary = servers.start("--repl-diskless-sync-delay", "0")
        replica = servers.start("--replicaof", "127.0.0.1", str(primary.port))
        _until(lambda: _facts(replica, "replication")["master_link_status"] == "up", "the replica has it all")
        watch = servers.start(
            sentinel=f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 2000\n"
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
    nodes: list[Server]

    def counts(self) -> list[int]:
        """How many keys each has."""
        return [int(node.client.dbsize()) for node in self.nodes]  # type: ignore[arg-type]


@contextmanager
def cluster(folder: Path) -> Iterator[Sharded]:
    """Three nodes, a third of the slots each."""
    with _servers(folder) as servers:
        buses = [free_port() for _ in range(3)]
        nodes = [servers.start("--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses]
        for index, node in enumerate(nodes):
            first, last = 16_384 * index // 3, 16_384 * (index + 1) // 3 - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
        _until(lambda: all(_state(node) == "ok" for node in nodes), "all nodes know all slots")
        yield Sharded(f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}", nodes)


def _facts(server: Server, section: str) -> dict[str, Any]:
    told: Any = server.client.info(section)
    return dict(told)


def _state(server: Server) -> str:
    told: Any = server.client.execute_command("CLUSTER INFO")
    return str(told.get("cluster_state"))
