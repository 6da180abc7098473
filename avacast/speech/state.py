"""Which processes are a cluster's: `cluster.json` in its folder, by which `avacast speech down` finds them, also after a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil

_FILE = "cluster.json"


def write(folder: Path, children: list[int]) -> None:
    """This process is the cluster, and these are its instances and its nginx."""
    state = {**_identity(os.getpid()), "children": [_identity(pid) for pid in children]}
    fresh = folder / f"{_FILE}.new"
    fresh.write_text(json.dumps(state))
    fresh.replace(folder / _FILE)


def forget(folder: Path) -> None:
    """All of it has ended."""
    (folder / _FILE).unlink(missing_ok=True)


def down(data: Path) -> int:
    """Ends the cluster of a data folder, or what one that was killed has left. Returns how many processes it found."""
    folder = data / "speech"
    state = read(folder)
    if state is None:
        return 0
    if (cluster := _process(state)) is not None:
        cluster.terminate()
        psutil.wait_procs([cluster], timeout=10)
    left = [process for one in state["children"] if (process := _process(one)) is not None]
    for process in left:
        process.terminate()
    _, late = psutil.wait_procs(left, timeout=3)
    for process in late:
        process.kill()
    forget(folder)
    return (cluster is not None) + len(left)


def _identity(pid: int) -> dict[str, Any]:
    """A process by its number and its birth: the number alone may be another's later."""
    try:
        return {"pid": pid, "born": psutil.Process(pid).create_time()}
    except psutil.NoSuchProcess:
        return {"pid": pid, "born": 0.0}


def _process(identity: dict[str, Any]) -> psutil.Process | None:
    """The process, if it is still that one."""
    try:
        process = psutil.Process(int(identity["pid"]))
        return process if abs(process.create_time() - float(identity["born"])) < 1.0 else None
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return None


def read(folder: Path) -> dict[str, Any] | None:
    """What a cluster has written; None when there is none, or it cannot be read."""
    try:
        state = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and isinstance(state.get("children"), list) else None


def alive(folder: Path) -> dict[str, Any] | None:
    """The same, while that cluster runs."""
    state = read(folder)
    return state if state is not None and _process(state) is not None else None
