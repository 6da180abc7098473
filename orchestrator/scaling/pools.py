"""Pools: the nodes of one role in one region, what they report together, and what operators say of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.directory import NodeReport, Role
from orchestrator.nodes import Node

DEFAULT_LEAST, DEFAULT_MOST = 1, 20
_WRITTEN = re.compile(
    r"(origin|relay|packager)/([^=/@\s]{1,64})=(\d{1,4})-(\d{1,4})(?:@([\w./:-]{1,255}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class PoolName:
    """A role in a region."""

    role: Role
    region: str

    def __str__(self) -> str:
        return f"{self.role}/{self.region}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Fewest and most nodes of a pool, and the Auto Scaling group that has them, if one does."""

    least: int = DEFAULT_LEAST
    most: int = DEFAULT_MOST
    group: str | None = None

    def clamp(self, nodes: int) -> int:
        return min(self.most, max(self.least, nodes))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a pool reports: nodes that take work, their places and who has them (viewers; broadcasts of packagers, and of origins with
    avatars), means of the nodes in 0..1."""

    nodes: int = 0
    draining: int = 0
    places: int = 0
    used: int = 0
    cpu_ratio: float = 0.0
    memory_ratio: float = 0.0
    gpu_memory_ratio: float | None = None
    """None: no node reports a GPU."""

    @property
    def filled(self) -> float:
        return self.used / self.places if self.places else 0.0


def parse_pool(text: str) -> tuple[PoolName, Bounds]:
    """A pool as the settings write it: ROLE/REGION=LEAST-MOST, or with @GROUP at its end. Raises ValueError that says so."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or int(found[3]) > int(found[4]) or not int(found[4]):
        raise ValueError(
            f"{text!r} is not ROLE/REGION=LEAST-MOST or ROLE/REGION=LEAST-MOST@GROUP, such as relay/eu-west-1=2-20@relays"
        )
    return PoolName(Role(found[1]), found[2]), Bounds(int(found[3]), int(found[4]), found[5])


def read(nodes: Iterable[Node], bounds: Mapping[PoolName, Bounds]) -> dict[PoolName, Reading]:
    """Pool -> its reading, of all pools that are configured or have a node."""
    members: dict[PoolName, list[Node]] = {name: [] for name in bounds}
    for node in nodes:
        members.setdefault(PoolName(node.report.role, node.report.region), []).append(node)
    return {name: _reading(found) for name, found in members.items()}


def _reading(nodes: list[Node]) -> Reading:
    working = [node.report for node in nodes if not node.draining]
    if not working:
        return Reading(draining=len(nodes))
    # What a draining node has is about to need places elsewhere.
    used = sum(_used(node) for node in nodes)
    gpus = [one.gpu_memory_ratio for one in working if one.gpu_memory_ratio is not None]
    return Reading(
        nodes=len(working),
        draining=len(nodes) - len(working),
        places=sum(_places(one) for one in working),
        used=used,
        cpu_ratio=sum(min(1.0, one.cpu_ratio) for one in working) / len(working),
        memory_ratio=sum(one.memory_ratio for one in working) / len(working),
        gpu_memory_ratio=sum(gpus) / len(gpus) if gpus else None,
    )


def _used(node: Node) -> int:
    """Viewers; where streams are what costs (packagers, origins that know how many avatars they carry) those that are live."""
    if node.report.role is Role.PACKAGER or node.report.avatars_free is not None:
        return sum(one.live for one in node.report.streams)
    return node.viewers


def _places(report: NodeReport) -> int:
    if report.avatars_free is not None:
        return sum(one.live for one in report.streams) + report.avatars_free
    return report.capacity
