"""The protocol as an AsyncAPI 3 document, made from the messages: `python -m speech_service.asyncapi > docs/asyncapi.yaml`."""

from __future__ import annotations

import sys
import typing
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from speech_service import messages

_SERVICES: Final[dict[str, tuple[str, Any, Any, str]]] = {
    "tts": (
        "Text to speech",
        messages.SpeakingRequest,
        messages.SpeakingAnswer,
        "Sound of the `clause` before it: mono s16le at the rate of `ready`.",
    ),
    "asr": (
        "Speech to text",
        messages.HearingRequest,
        messages.HearingAnswer,
        "Sound to be heard: mono s16le at the rate of `start`.",
    ),
}
FRONT_PORTS: Final = {"asr": 8000, "tts": 8003}
"""Ports of the front ends before all instances of a service."""


def models(union: Any) -> list[type[messages.Message]]:
    """The messages of one direction."""
    if typing.get_origin(union) is typing.Annotated:
        union = typing.get_args(union)[0]
    return list(typing.get_args(union))


def document() -> dict[str, Any]:
    """The whole document."""
    everything = [
        model for service in _SERVICES.values() for union in service[1:3] for model in models(union)
    ]
    unique = list(dict.fromkeys(everything))
    _, definitions = models_json_schema(
        [(model, "validation") for model in unique], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = definitions["$defs"]
    for model in unique:
        schema = schemas[model.__name__]
        schema["required"] = sorted({"type", *schema.get("required", ())})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Avacast speech services",
            "version": "1.0.0",
            "description": "Streaming text to speech and speech to text over WebSockets; docs/speech-services.md says it in words.",
        },
        "defaultContentType": "application/json",
        "servers": {
            name: {"host": f"127.0.0.1:{FRONT_PORTS[name]}", "protocol": "ws", "description": service[0]}
            for name, service in _SERVICES.items()
        },
        "channels": {name: _channel(name) for name in _SERVICES},
        "operations": {key: value for name in _SERVICES for key, value in _operations(name).items()},
        "components": {
            "messages": {
                **{
                    model.__name__: {
                        "name": model.model_fields["type"].default,
                        "summary": schemas[model.__name__].get("description", ""),
                        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
                    }
                    for model in unique
                },
                **{
                    f"Sound{name.title()}": {
                        "name": "sound",
                        "contentType": "application/octet-stream",
                        "summary": service[3],
                        "payload": {"type": "string", "format": "binary"},
                    }
                    for name, service in _SERVICES.items()
                },
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _names(name: str, direction: int) -> list[str]:
    """The messages of a service that clients send (0) or receive (1), sound included."""
    names = [model.__name__ for model in models(_SERVICES[name][1 + direction])]
    sound = f"Sound{name.title()}"
    return [*names, sound] if (name == "asr") == (direction == 0) else names


def _channel(name: str) -> dict[str, Any]:
    both = dict.fromkeys(_names(name, 0) + _names(name, 1))
    return {
        "address": f"/v1/stream/{name}",
        "title": _SERVICES[name][0],
        "servers": [{"$ref": f"#/servers/{name}"}],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in both},
        "bindings": {"ws": {"method": "GET"}},
    }


def _operations(name: str) -> dict[str, Any]:
    """What the service receives and sends, as AsyncAPI 3 sees it: from the service."""
    return {
        f"{name}.{action}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{one}"} for one in _names(name, direction)],
        }
        for direction, action in enumerate(("receive", "send"))
    }


def page() -> str:
    """The document as YAML. Needs PyYAML, which is there for tests only."""
    import yaml

    head = "# Made by `python -m speech_service.asyncapi`; do not edit.\n"
    return head + str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120))


if __name__ == "__main__":
    sys.stdout.write(page())
