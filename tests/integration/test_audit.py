"""The audit log over real sockets: who did what is found again, and strangers leave nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.database import DatabaseDown
from orchestrator.api.route import CONTEXT
from tests.harness.cluster import Running, admin, orchestrator


async def entries(hub: Running, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await hub.ok("GET", f"/api/audit{query}", headers=admin()))["entries"]
    return found


async def test_what_operators_and_publishers_did_is_found_newest_first(hub: Running) -> None:
    made = await hub.ok("POST", "/api/broadcasts", json={"id": "town", "avatar": "ava"}, headers=admin())
    publisher = {"Authorization": f"Bearer {made['token']}"}
    await hub.call("PATCH", "/api/broadcasts/town", json={"moderated": True}, headers=publisher)
    await hub.call("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    await hub.call("POST", "/api/broadcasts/town/say", json={"text": "a secret"}, headers=publisher)
    told = await entries(hub)
    assert [(one["actor"], one["method"], one["path"], one["status"]) for one in told] == [
        ("publisher", "POST", "/api/broadcasts/town/say", 503),
        ("admin", "POST", "/api/broadcasts", 409),
        ("publisher", "PATCH", "/api/broadcasts/town", 200),
        ("admin", "POST", "/api/broadcasts", 201),
    ]
    assert told[-1]["made"] == "/api/broadcasts/town" and told[-1]["address"] == "127.0.0.1"
    assert "secret" not in str(told) and made["token"] not in str(told)


async def test_strangers_and_readers_leave_nothing(hub: Running) -> None:
    await hub.ok(
        "POST", "/api/broadcasts", json={"id": "town", "public": True, "open_mic": True}, headers=admin()
    )
    wrong = {"Authorization": "Bearer nonsense"}
    for headers in ({}, wrong):
        await hub.call("POST", "/api/broadcasts", json={}, headers=headers)
        await hub.call("DELETE", "/api/broadcasts/town", headers=headers)
        await hub.call("POST", "/api/broadcasts/town/ask", json={"text": "Hi"}, headers=headers)
    await hub.ok("GET", "/api/broadcasts", headers=admin())
    assert len(await entries(hub)) == 1
    assert (await hub.call("GET", "/api/audit"))[0] == 401


async def test_pages_have_all_entries_once(hub: Running) -> None:
    for number in range(5):
        await hub.ok("POST", "/api/broadcasts", json={"id": f"b{number}"}, headers=admin())
    first = await hub.ok("GET", "/api/audit?limit=3", headers=admin())
    second = await hub.ok("GET", f"/api/audit?limit=3&after={first['next']}", headers=admin())
    made = [one["made"].rpartition("/")[2] for one in first["entries"] + second["entries"]]
    assert made == ["b4", "b3", "b2", "b1", "b0"] and second["next"] is None
    assert (await hub.call("GET", "/api/audit?limit=0", headers=admin()))[0] == 422


async def test_what_was_noted_while_sql_was_away_is_written_later(
    hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = hub.role.app[CONTEXT].audit
    database = audit._database
    real = database.session

    def away() -> Any:
        raise DatabaseDown("gone", retry_after_s=1)

    await hub.ok("POST", "/api/broadcasts", json={"id": "before"}, headers=admin())
    await audit.flush()
    monkeypatch.setattr(database, "session", away)
    await hub.call("POST", "/api/broadcasts/before/tokens", json={}, headers=admin())
    assert (await hub.call("GET", "/api/audit", headers=admin()))[0] == 503
    monkeypatch.setattr(database, "session", real)
    assert [one["path"] for one in await entries(hub)] == ["/api/broadcasts/before/tokens", "/api/broadcasts"]


async def test_entries_outlive_their_orchestrator(tmp_path: Path) -> None:
    async with orchestrator(tmp_path) as first:
        await first.ok("POST", "/api/broadcasts", json={"id": "b"}, headers=admin())
    async with orchestrator(tmp_path) as second:
        assert len(await entries(second)) == 1
