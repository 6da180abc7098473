"""What the generated groups of operations stand on: an answer as its model, pages as one list, events one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from avacast.client.errors import Misunderstood
from avacast.client.events import Event
from avacast.client.generated.operations import OPERATIONS
from avacast.client.loop import Loop
from avacast.client.transport import Reply, Transport

_Model = TypeVar("_Model", bound=BaseModel)
_CURSOR = "after"


class AsyncGroup:
    """Operations of one kind."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def _reply(self, operation: str, arguments: dict[str, Any]) -> Reply:
        key = arguments.pop("idempotency_key", None)
        return await self._transport.call(OPERATIONS[operation], arguments, key)

    async def _json(self, operation: str, model: type[_Model], **arguments: Any) -> _Model:
        reply = await self._reply(operation, arguments)
        return _read(model, reply)

    async def _nothing(self, operation: str, **arguments: Any) -> None:
        await self._reply(operation, arguments)

    async def _text(self, operation: str, **arguments: Any) -> str:
        return (await self._reply(operation, arguments)).body.decode(errors="replace")

    async def _bytes(self, operation: str, **arguments: Any) -> bytes:
        return (await self._reply(operation, arguments)).body

    async def _location(self, operation: str, **arguments: Any) -> str:
        reply = await self._reply(operation, arguments)
        if "Location" not in reply.headers:
            raise Misunderstood(reply.url, "it has no Location")
        return str(reply.headers["Location"])

    def _events(self, operation: str, **arguments: Any) -> AsyncIterator[Event]:
        return self._transport.follow(OPERATIONS[operation], arguments)

    async def _pages(self, operation: str, model: type[_Model], **arguments: Any) -> AsyncIterator[Any]:
        items, cursor = OPERATIONS[operation].items, None
        while True:
            page = await self._json(operation, model, **arguments, **{_CURSOR: cursor})
            for one in getattr(page, items):
                yield one
            cursor = getattr(page, "next", None)
            if cursor is None:
                return


class Group:
    """The same for programs without an event loop."""

    def __init__(self, loop: Loop, group: AsyncGroup) -> None:
        self._loop = loop
        self._group = group

    def _json(self, operation: str, model: type[_Model], **arguments: Any) -> _Model:
        return self._loop.run(self._group._json(operation, model, **arguments))

    def _nothing(self, operation: str, **arguments: Any) -> None:
        self._loop.run(self._group._nothing(operation, **arguments))

    def _text(self, operation: str, **arguments: Any) -> str:
        return self._loop.run(self._group._text(operation, **arguments))

    def _bytes(self, operation: str, **arguments: Any) -> bytes:
        return self._loop.run(self._group._bytes(operation, **arguments))

    def _location(self, operation: str, **arguments: Any) -> str:
        return self._loop.run(self._group._location(operation, **arguments))

    def _events(self, operation: str, **arguments: Any) -> Iterator[Event]:
        return self._loop.each(self._group._events(operation, **arguments))

    def _pages(self, operation: str, model: type[_Model], **arguments: Any) -> Iterator[Any]:
        return self._loop.each(self._group._pages(operation, model, **arguments))


def _read(model: type[_Model], reply: Reply) -> _Model:
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise Misunderstood(reply.url, f"{where}: {first['msg']}") from None
