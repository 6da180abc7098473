"""How tasks of an event loop are ended."""

from __future__ import annotations

import asyncio
from typing import Any


async def end_tasks(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancels those that are not done, and returns once all are; None is one that never began. What they raise is dropped. Whoever is
    cancelled in here is still cancelled, after they have ended."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
