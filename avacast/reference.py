"""The reference page of all settings, made from the models: `python -m avacast.reference > docs/configuration.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from common.config import (
    AsrConfig,
    HlsConfig,
    Media,
    Node,
    OrchestratorConfig,
    OriginConfig,
    RelayConfig,
    Shared,
    SpeechClusterConfig,
    SpeechInstance,
    TtsConfig,
)

_PAGES: tuple[tuple[str, type[BaseSettings], type[BaseSettings] | None], ...] = (
    ("Every role", Shared, None),
    ("Every node (origin, relay, packager)", Node, Shared),
    ("The media core of a node", Media, None),
    ("Origin", OriginConfig, Node),
    ("Relay", RelayConfig, Node),
    ("Packager", HlsConfig, Node),
    ("Orchestrator", OrchestratorConfig, Shared),
    ("Both speech services", SpeechInstance, None),
    ("Text to speech", TtsConfig, SpeechInstance),
    ("Speech to text", AsrConfig, SpeechInstance),
    ("Cluster of speech services", SpeechClusterConfig, None),
)


def variables(name: str, field: FieldInfo) -> list[str]:
    """The environment variables that set a field, the one to use first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices if str(choice).isupper()]
    return [f"AVACAST_{name.upper()}"]


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, list):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`" if value not in ("", None) else "-"


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Made from the models in `common/config.py` by `python -m avacast.reference`; do not edit."
    yield "Command-line options win over environment variables, which win over the defaults."
    for title, model, base in _PAGES:
        inherited = set(base.model_fields) if base else set()
        if "media_port" in model.model_fields and model is not Media:
            inherited |= set(Media.model_fields)
        yield ""
        yield f"## {title}"
        yield ""
        yield "| variable | default | meaning |"
        yield "|---|---|---|"
        for name, field in model.model_fields.items():
            if name not in inherited:
                names = ", ".join(f"`{one}`" for one in variables(name, field))
                yield f"| {names} | {_default(field)} | {field.description} |"


def page() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
