"""Tasks are ended: cancelled, and waited for."""

from __future__ import annotations

import asyncio

import pytest

from common.tasks import end_tasks


async def _tidying(tidied: list[str], begun: asyncio.Event, may_go: asyncio.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        await may_go.wait()
        tidied.append("up")


async def test_returns_once_all_have_tidied_up() -> None:
    tidied: list[str] = []
    begun, may_go = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(_tidying(tidied, begun, may_go)) for _ in range(2)]
    await begun.wait()
    ending = asyncio.create_task(end_tasks(None, *tasks))
    asyncio.get_running_loop().call_soon(may_go.set)
    await ending
    assert tidied == ["up", "up"]
    assert all(task.cancelled() for task in tasks)


async def test_what_they_raise_is_dropped() -> None:
    async def failing() -> None:
        raise RuntimeError("broken")

    failed = asyncio.create_task(failing())
    await asyncio.wait([failed])
    await end_tasks(failed, None)
    await end_tasks()


async def test_who_is_cancelled_meanwhile_stays_cancelled_and_leaves_nothing_behind() -> None:
    tidied: list[str] = []
    begun, may_go = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(_tidying(tidied, begun, may_go))
    await begun.wait()
    ending = asyncio.create_task(end_tasks(task))
    loop = asyncio.get_running_loop()
    loop.call_soon(ending.cancel)
    loop.call_soon(may_go.set)
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert task.cancelled()
