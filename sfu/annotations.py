"""What a pod's annotations ask of its node: `drain=true` has it drained, for as long as that stands there.

Kubernetes keeps the annotations in a file (a downward API volume) and swaps the whole file when they change. It is looked at once a second,
which costs one `stat`; kubelet itself takes up to a minute and a half to write a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from common.log import log
from common.tasks import end_tasks

_log = log("annotations")

DRAIN = "drain"
MOST_BYTES = 1 << 20
"""Kubernetes allows 256 KiB of annotations; quoted they may be longer."""
_LOOK_S = 1.0

Asked = Callable[[bool], Awaitable[None]]


def asks_for_drain(text: str) -> bool:
    """Whether annotations (a line each, `key="value"`, the value quoted as Go does) have `drain="true"`."""
    return any(line.strip() == f'{DRAIN}="true"' for line in text.splitlines())


class Annotations:
    """Looks at the file at `path` from `start` to `close`; `asked` hears whether a drain is asked for, whenever that changes. What
    cannot be read changes nothing."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self._path = path
        self._asked = asked
        self._drain = False
        self._seen: tuple[int, int, int] | None = None
        self._problem = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run(), name="annotations")

    async def close(self) -> None:
        """Ends it."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            text = self._changed()
            if text is not None and asks_for_drain(text) is not self._drain:
                self._drain = not self._drain
                _log.info("annotated" if self._drain else "annotation_gone", drain=self._drain)
                await self._asked(self._drain)
            await asyncio.sleep(_LOOK_S)

    def _changed(self) -> str | None:
        """The text of the file, where it is another one than was read last."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return None
            with self._path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            self._cannot(error.strerror or str(error))
            return None
        self._seen = seen
        if len(data) > MOST_BYTES:
            self._cannot(f"more than {MOST_BYTES} bytes")
            return None
        self._problem = ""
        return data.decode(errors="replace")

    def _cannot(self, why: str) -> None:
        """Says so, once for each reason."""
        if why != self._problem:
            self._problem = why
            _log.warning(
                "annotations_unreadable",
                file=str(self._path),
                reason=why,
                hint="AVACAST_POD_ANNOTATIONS names the file of a downward API volume with metadata.annotations (docs/nodes.md)",
            )
