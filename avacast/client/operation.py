"""An operation of the API as data, and the request that its arguments make. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

HEADER = "Idempotency-Key"


class Where(StrEnum):
    """Where a parameter goes."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    SDP = "sdp"
    """It is the whole body."""
    FILE = "file"
    """The same: bytes, whatever they are."""


class Kind(StrEnum):
    """What a parameter is."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    JSON = "json"
    """A list or an object."""


class Answer(StrEnum):
    """What a success has in its body."""

    JSON = "json"
    NOTHING = "nothing"
    TEXT = "text"
    BYTES = "bytes"
    LOCATION = "location"
    """Nothing: the answer is the URL in Location."""
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument."""

    name: str
    where: Where
    kind: Kind
    required: bool = False
    text: str = ""
    """A sentence that says what it is."""
    choices: tuple[str, ...] = ()
    default: str = ""
    """What the server takes without it, as people write it."""

    @property
    def spelled(self) -> str:
        """Its name on the wire: Python's own words have an underscore more here."""
        return self.name.rstrip("_")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `id` is its operationId, `group_verb`."""

    id: str
    method: str
    path: str
    summary: str
    answer: Answer
    parameters: tuple[Parameter, ...] = ()
    once: bool = False
    """It takes an Idempotency-Key."""
    items: str = ""
    """The field with the items, of an answer that is a page."""
    tokens: tuple[str, ...] = ()
    """Who may call it; empty: anybody."""
    codes: tuple[str, ...] = ()
    """Of refusals that are its own."""

    @property
    def group(self) -> str:
        return self.id.partition("_")[0]

    @property
    def verb(self) -> str:
        return self.id.partition("_")[2]

    @property
    def repeatable(self) -> bool:
        """Is twice as good as once?"""
        return self.once or self.method not in ("POST", "PATCH")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `path` is encoded, with the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


def request_of(operation: Operation, arguments: Mapping[str, Any], key: str) -> Request:
    """The request of a call; arguments that are None are not sent. Raises ValueError that names the argument which cannot be."""
    path, query, fields = operation.path, list[str](), dict[str, Any]()
    headers = {"Accept": "application/json, application/problem+json, */*"}
    body: bytes | None = None
    for one in operation.parameters:
        value = arguments.get(one.name)
        if value is None:
            if one.required:
                raise ValueError(f"{one.name} is missing")
        elif one.where is Where.PATH:
            path = path.replace(f"{{{one.spelled}}}", _segment(one.name, str(value)))
        elif one.where is Where.QUERY:
            query.append(f"{one.spelled}={quote(_spelled(value), safe='')}")
        elif one.where is Where.SDP:
            headers["Content-Type"], body = "application/sdp", str(value).encode()
        elif one.where is Where.FILE:
            headers["Content-Type"], body = "application/octet-stream", bytes(value)
        else:
            fields[one.spelled] = value
    if any(one.where is Where.BODY for one in operation.parameters):
        headers["Content-Type"], body = "application/json", json.dumps(fields, default=_plain).encode()
    if operation.once:
        headers[HEADER] = key
    return Request(operation.method, path + ("?" + "&".join(query) if query else ""), headers, body)


def _segment(name: str, value: str) -> str:
    """A value as one part of a path. '..' would be taken for a step up, whatever it is written as."""
    if value in ("", ".", ".."):
        raise ValueError(f"{name}: {value!r} cannot be part of an address")
    return quote(value, safe="")


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
