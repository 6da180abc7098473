"""The OpenAPI 3.1 document, made from the table of routes and their models: what is not in the table does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator.api.route import SDP, Access, Query, Route
from orchestrator.webhooks.events import FACTS, WebhookEvent

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; docs/errors.md says what to do about each.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "retry_after_s": {"type": "number"},
        "limit": {
            "type": "object",
            "description": "The limit that was reached.",
            "required": ["name", "most"],
            "properties": {
                "name": {"type": "string"},
                "most": {"type": "integer"},
                "window_s": {"type": "integer"},
            },
        },
        "scope": {"type": "string", "description": "The scope that the API key lacks."},
    },
}

_PARAMETERS = {
    "id": "The id of a recording.",
    "broadcast": "The id of a broadcast.",
    "node": "The id of a node.",
    "rollout": "The id of a rollout.",
    "viewer": "The id of a viewer, from /play.",
    "name": "A file's name.",
    "role": "The role of a pool's nodes: origin, relay or packager.",
    "region": "The region of a pool.",
    "session": "The id of a session.",
    "webhook": "The id of a webhook.",
    "delivery": "The number of a delivery.",
    "line": "The number of a line, from the desk.",
    "key": "The prefix of an API key.",
    "job": "The id of a job.",
    "upload": "The id of an upload.",
}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Whoever sends the request again with the same key gets the first answer, for an hour.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
_NUMBER = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}

_TOKENS: dict[Access, tuple[str, ...]] = {
    Access.OPEN: (),
    Access.WATCH: ("viewer", "publisher", "admin"),
    Access.TALK: ("viewer", "publisher", "admin"),
    Access.PUBLISHER: ("publisher", "admin"),
    Access.ADMIN: ("admin",),
    Access.LINK: ("admin",),
    Access.NODE: ("node",),
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of these routes and of those that every role has."""
    models = sorted(_models(routes), key=lambda one: one.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    paths |= _common_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Avacast",
            "version": _version(),
            "summary": "Avatars that talk live to any number of people.",
            "description": "Errors are problem+json with a stable `code`, what happened (`detail`) and what to do (`hint`).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "webhooks": {type.value: _webhook(type.value, facts) for type, facts in FACTS.items()},
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer", "description": "The operators' token."},
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "avk_...",
                    "description": "An API key (/api/keys) with the scope that is named; `admin` opens all.",
                },
                **{
                    who: {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": f"A {who} token.",
                    }
                    for who in ("viewer", "publisher", "node")
                },
            },
        },
    }


def _models(routes: Iterable[Route]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = {WebhookEvent, *FACTS.values()}
    for route in routes:
        found |= {one for one in (route.body, route.answer) if isinstance(one, type)}
    return found


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "security": _security(route),
        "responses": {
            **{str(status): _answer(route, status) for status in (route.status, *route.also)},
            **_problems(route),
        },
    }
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name],
            "schema": {"viewer": _ID, "line": _NUMBER, "delivery": _NUMBER}.get(name, {"type": "string"}),
        }
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        parameters += _query(route.query)
    if route.once:
        parameters.append(_KEY)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    elif route.raw:
        operation["requestBody"] = {"required": True, "content": {type: _raw(type) for type in route.raw}}
    return operation


def _raw(type: str) -> dict[str, Any]:
    """A body that is no JSON: OpenAPI 3.1 says nothing of bytes, and that a text is one."""
    return {"schema": {"type": "string"}} if type == SDP else {}


def _security(route: Route) -> list[dict[str, list[str]]]:
    """What opens a route, one of them; a key needs the scope, which OpenAPI 3.1 names as a role."""
    found: list[dict[str, list[str]]] = [{one: []} for one in _TOKENS[route.access]]
    if route.access in (Access.WATCH, Access.TALK, Access.LINK):
        found = [{}, *found]
    if found:
        found.append({"key": [route.needs.value]})
    return found


def _webhook(type: str, facts: type[BaseModel]) -> dict[str, Any]:
    """What is sent to a webhook's endpoint: docs/webhooks.md."""
    schema = {
        "allOf": [
            _ref(WebhookEvent),
            {"type": "object", "properties": {"type": {"const": type}, "data": _ref(facts)}},
        ]
    }
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "post": {
            "operationId": f"webhook_{re.sub(r'[^a-z]+', '_', type)}",
            "summary": f"Tells {type}",
            "tags": ["Webhooks"],
            "parameters": [
                {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
                for name in headers
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"2XX": {"description": "Taken. Anything else: it is tried again."}},
        }
    }


_VERBS = {
    "GET": "read",
    "POST": "create",
    "PUT": "replace",
    "PATCH": "change",
    "DELETE": "delete",
    "OPTIONS": "options",
}


def operation_id(route: Route) -> str:
    """`group_verb`: the group is the first word of the path, the verb its other words, else what the method does."""
    if route.name:
        return route.name
    parts = route.path.removeprefix("/api").strip("/").removeprefix("v1/").split("/")
    group, *words = (re.sub(r"[^a-z0-9]+", "_", one) for one in parts if not one.startswith("{"))
    plain = route.method in ("GET", "POST", "PUT")
    if words:
        verb = "_".join(words if plain else [_VERBS[route.method], *words])
    elif route.method == "GET" and not parts[-1].startswith("{"):
        verb = "list"
    else:
        verb = _VERBS[route.method]
    return f"{group.replace('_', '')}_{verb}"


def _answer(route: Route, status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _DESCRIPTIONS[status]}
    if status in (302, 307):
        answer["headers"] = {"Location": {"schema": {"type": "string", "format": "uri"}}}
    if status == 302:
        return answer
    if isinstance(route.answer, str):
        kind: dict[str, Any] = (
            {"type": "object"} if route.answer == "application/json" else {"type": "string"}
        )
        answer["content"] = {route.answer: {"schema": kind}}
    elif route.answer is not None:
        answer["content"] = {"application/json": {"schema": _ref(route.answer)}}
    return answer


_DESCRIPTIONS = {
    200: "Done.",
    201: "Made.",
    202: "Taken.",
    204: "Done; no body.",
    206: "The range that was asked for.",
    302: "It is at Location, for an hour.",
    307: "Send the same request to Location.",
}


def _problems(route: Route) -> dict[str, Any]:
    statuses: dict[str, list[str]] = {}
    if _PARAMETER.search(route.path) or route.path.startswith("/api/v1/viewers"):
        statuses["404"] = ["not found"]
    if route.access is not Access.OPEN:
        statuses["401"], statuses["403"] = ["no valid token"], ["a token for something else"]
    if route.body is not None:
        statuses["400"], statuses["413"] = ["not JSON"], ["too large"]
    if route.body is not None or route.query is not None or "invalid_id" in route.problems:
        statuses["422"] = ["not valid"]
    if route.once:
        statuses.setdefault("409", []).append("`request_under_way`")
        statuses.setdefault("422", []).append("`idempotency_key_reused`")
    if "admin" in _TOKENS[route.access]:
        statuses.setdefault("403", []).append("`scope_missing`")
        if _NAMED.search(route.path):
            statuses["403"].append("`key_limited`")
        statuses.setdefault("429", []).append("`request_limit`")
    for code in (*route.problems, *([f"{route.limit}_limit"] if route.limit else [])):
        statuses.setdefault(_STATUSES.get(code, "409"), []).append(f"`{code}`")
    if route.access is Access.ADMIN or route.access is Access.NODE:
        statuses.setdefault("503", []).append("a store does not answer")
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": (", ".join(told)).capitalize() if not told[0].startswith("`") else ", ".join(told),
            "content": content,
        }
        for status, told in sorted(statuses.items())
    }


_NAMED = re.compile(r"\{(broadcast|session)\}|^/api/(broadcasts|v1/viewers)\b")
"""Paths, or bodies at them, that name a broadcast or a session."""

_STATUSES = {
    "no_node": "503",
    "origin_unreachable": "503",
    "talk_limit": "429",
    "report_limit": "429",
    "make_limit": "429",
    "session_limit": "429",
    "key_unknown": "404",
    "avatars_full": "503",
    "database_unavailable": "503",
    "invalid_id": "422",
    "node_unknown": "404",
    "webhook_unknown": "404",
    "delivery_unknown": "404",
    "webhook_url_refused": "422",
    "too_many_points": "422",
    "no_mix": "422",
    "rollout_unknown": "404",
    "pool_unknown": "404",
    "session_over": "404",
    "line_unknown": "404",
    "recording_unknown": "404",
    "moderated": "403",
    "avatar_busy": "429",
    "packager_unreachable": "503",
    "job_unknown": "404",
    "upload_unknown": "404",
    "upload_kind": "415",
    "upload_limit": "429",
    "job_limit": "429",
    "body_too_large": "413",
    "link_invalid": "403",
    "file_gone": "404",
    "range_not_satisfiable": "416",
    "store_unavailable": "503",
}
"""Codes whose status is not 409; a test holds them to docs/errors.md."""


def _query(model: type[Query]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            reference = value.get("$ref", "")
            name = reference.rsplit("/", 1)[-1]
            merged = {
                **definitions.get(name, {}),
                **{key: one for key, one in value.items() if key != "$ref"},
            }
            return {key: inlined(one) for key, one in merged.items()}
        return [inlined(one) for one in value] if isinstance(value, list) else value

    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": facts.get("description", ""),
            "schema": inlined({key: value for key, value in facts.items() if key != "description"}),
        }
        for name, facts in schema["properties"].items()
    ]


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _common_paths() -> dict[str, dict[str, Any]]:
    def one(name: str, summary: str, kind: str, status: dict[str, str]) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object"} if kind == "application/json" else {"type": "string"}
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "tags": ["Health"],
                "security": [],
                "responses": {
                    code: {"description": told, "content": {kind: {"schema": schema}}}
                    for code, told in status.items()
                },
            }
        }

    return {
        "/health": one(
            "about_health",
            "Health, with counts of nodes and workers",
            "application/json",
            {"200": "It lives."},
        ),
        "/ready": one(
            "about_ready", "Ready to serve?", "application/json", {"200": "Yes.", "503": "Not yet."}
        ),
        "/metrics": one(
            "about_metrics", "Metrics in Prometheus' text format", "text/plain", {"200": "The metrics."}
        ),
    }


def _version() -> str:
    try:
        return metadata.version("avacast")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0.0.0"
