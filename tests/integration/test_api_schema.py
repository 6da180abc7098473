"""The service and its OpenAPI document, held against each other: requests made of the document, good and bad ones, with and without
a token. Whatever comes, the answer is one that the document names: its status, its type, its fields, its headers.

`make api-test EXAMPLES=500` looks longer.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from avacast.bindings import ERRORS
from common.auth import Audience
from common.directory import Role
from orchestrator.app import ROUTES
from orchestrator.openapi import document
from tests.harness.background import Background, background
from tests.harness.cluster import Running, admin, nodes, orchestrator, token


@schemathesis.serializer("application/sdp")
def _sdp(_context: Any, value: Any) -> bytes:
    return str(value).encode()


EXAMPLES = int(os.environ.get("AVACAST_API_EXAMPLES", "3"))
DOCUMENT = document(ROUTES)
CODES = set(re.findall(r"^\| `([a-z_0-9]+)` \|", ERRORS.read_text(), re.MULTILINE))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()}
ENDLESS = {"broadcasts_events", "sessions_events", "events_follow"}
"""Streams, which have no end to wait for: test_client.py reads them."""
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
]


@dataclass
class Service:
    """An orchestrator with something of each kind in it."""

    hub: Running
    thread: Background
    known: dict[str, str]

    async def restore(self) -> None:
        """What requests have ended is there again."""
        here = {one.id for one in self.hub.role.hub.broadcasts}
        for name, facts in (("demo", {"public": True, "avatar": "ava", "open_mic": True}), ("private", {})):
            if name not in here:
                await self.hub.ok("POST", "/api/broadcasts", json={"id": name, **facts}, headers=admin())


@asynccontextmanager
async def whole(data: Path) -> AsyncIterator[tuple[Running, dict[str, str]]]:
    async with (
        orchestrator(data, talk_limit="10000/second", report_limit="10000/second") as hub,
        nodes() as cluster,
    ):
        origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, region="eu-west-1")
        await cluster.start("p1", Role.PACKAGER, hub, region="eu-west-1")
        origin.stream("demo")
        session = await hub.ok("POST", "/api/sessions", json={"user": "ann"}, headers=admin())
        yield (
            hub,
            {
                "broadcast": "demo",
                "session": session["id"],
                "node": "o1",
                "role": "origin",
                "region": "eu-west-1",
                "viewer": "v1",
                "line": "1",
                "name": "swagger-ui.css",
            },
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.api.sessions.CONNECT_S", 0.01)  # no avatar comes alive here
        with background(partial(whole, tmp_path_factory.mktemp("orchestrator"))) as ((hub, known), thread):
            yield Service(hub, thread, known)


def who(operation: Any, identity: str) -> dict[str, str]:
    """The header of an identity, for an operation."""
    if identity == "nobody":
        return {}
    if any("node" in one for one in operation.definition.raw["security"]):
        return token(Audience.NODE, "o1")
    return admin()


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - ENDLESS))
def test_whatever_is_asked_the_answer_is_in_the_document(service: Service, name: str) -> None:
    operation = OPERATIONS[name]
    service.thread.run(service.restore)
    http = requests.Session()
    # An offer is the node's to judge; here it is only sent on.
    checks = [
        one
        for one in CHECKS
        if "307" not in operation.definition.raw["responses"] or one is not negative_data_rejection
    ]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of(operation.as_strategy(mode) for mode in GenerationMode),
        identity=st.sampled_from(["operator", "operator", "nobody"]),
        known=st.booleans(),
    )
    def asked(case: Any, identity: str, known: bool) -> None:
        if known and case.path_parameters:
            case.path_parameters = {
                one: service.known.get(one, value) for one, value in case.path_parameters.items()
            }
        if name.startswith("worker_") and known and isinstance(case.body, dict):
            case.body["id"] = "o1"
        reply = case.call(
            base_url=service.hub.url, session=http, headers=who(operation, identity), allow_redirects=False
        )
        case.validate_response(reply, checks=checks)
        problem(reply)

    asked()


def problem(reply: Any) -> None:
    """A refusal is a problem+json with a code that the page of errors has; a fault of ours is none."""
    assert reply.status_code != 500, reply.text
    if reply.status_code < 400:
        return
    assert reply.headers["content-type"][0].startswith("application/problem+json"), reply.headers
    told = reply.json()
    assert (
        told["code"] in CODES and told["code"] != "internal_error" and told["status"] == reply.status_code
    ), told
    assert told["detail"]
