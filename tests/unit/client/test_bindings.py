"""The client and the commands have what the API has: all of it, and nothing else."""

from __future__ import annotations

import inspect

import pytest

from avacast import bindings
from avacast.cli import app
from avacast.client import AsyncAvacast, Avacast
from avacast.client.generated.operations import OPERATIONS
from avacast.operate.commands import HIDDEN, command_name, spelled
from orchestrator.app import ROUTES
from orchestrator.openapi import document

AGAIN = "run: make client"
DOCUMENT = document(ROUTES)
IDS = [operation["operationId"] for verbs in DOCUMENT["paths"].values() for operation in verbs.values()]


def test_what_is_made_from_the_document_is_as_the_document_is() -> None:
    for name, text in bindings.sources().items():
        assert (bindings.FOLDER / name).read_text() == text, f"{name}: {AGAIN}"
    page = bindings.COMMANDS.read_text()
    assert bindings.commands_page(page) == page, f"docs/cli.md: {AGAIN}"


def test_no_two_operations_have_one_name() -> None:
    assert len(set(IDS)) == len(IDS), sorted(IDS)


@pytest.mark.parametrize("client", [Avacast, AsyncAvacast])
def test_each_operation_has_its_method(client: type[Avacast] | type[AsyncAvacast]) -> None:
    made = client("http://127.0.0.1:1", "token")
    found = {
        f"{group}_{verb}"
        for group, methods in vars(made).items()
        if not group.startswith("_")
        for verb, _ in inspect.getmembers(methods, callable)
        if not verb.startswith("_") and not verb.endswith("_all")
    }
    assert found == set(IDS), AGAIN


def test_each_operation_has_its_command() -> None:
    from typer.main import get_command

    root = get_command(app)
    for operation in OPERATIONS.values():
        command = root.commands[operation.group]  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            command = command.commands[command_name(operation)]
        given = {one.name for one in command.params}
        assert {one.name for one in operation.parameters} <= given, spelled(operation)
        assert {"server", "token", "as_json"} <= given, spelled(operation)
        assert command.hidden is False


def test_only_what_players_and_nodes_call_is_hidden() -> None:
    hidden = {one.id for one in OPERATIONS.values() if one.group in HIDDEN}
    assert not {
        one
        for one in hidden
        if OPERATIONS[one].path.startswith("/api/") and "/v1/" not in OPERATIONS[one].path
    } - {"mediasoup_stats"}


def test_pages_can_be_read_to_their_end() -> None:
    """Every answer with `next` takes `after`, says where its items are, and has a method that reads all of them."""
    for operation in OPERATIONS.values():
        names = {one.name for one in operation.parameters}
        if operation.items:
            assert {"limit", "after"} <= names, operation.id
    paged = {one.id for one in OPERATIONS.values() if one.items}
    for verbs in DOCUMENT["paths"].values():
        for told in verbs.values():
            content = told["responses"].get("200", {}).get("content", {}).get("application/json", {})
            model = DOCUMENT["components"]["schemas"].get(
                content.get("schema", {}).get("$ref", "").rpartition("/")[2], {}
            )
            assert ("next" in model.get("properties", {})) == (told["operationId"] in paged), told[
                "operationId"
            ]
    assert {
        "broadcasts_list",
        "sessions_list",
        "nodes_list",
        "recordings_list",
        "audit_list",
        "sfu_stats",
    } <= paged


def test_advice_is_what_the_page_of_errors_says() -> None:
    page = "| code | status | means | what to do |\n|---|---|---|---|\n| `a_b` | 404 | gone | look |\n| `c` | 403 | no | |\n"
    assert bindings.advice_of(page) == {"a_b": "look"}
