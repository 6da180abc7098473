"""API keys: only their hash is kept, an old secret lives as long as was said, several orchestrators agree."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text

from common.database import Database, DatabaseDown
from common.errors import Conflict, NotFound, Unauthorized
from orchestrator import keys as module
from orchestrator.app import ROUTES
from orchestrator.keys import Key, Keys, NewKey, Scope


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open("", tmp_path)
    yield opened
    await opened.close()


class Clock:
    """The time of keys, moved by hand."""

    def __init__(self) -> None:
        self.at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


def new(*scopes: Scope, **more: object) -> NewKey:
    return NewKey.model_validate({"name": "App", "scopes": scopes or [Scope.READ], **more})


async def code(keys: Keys, secret: str) -> str:
    """Why a secret is refused."""
    with pytest.raises(Unauthorized) as refused:
        await keys.check(secret)
    return refused.value.code


async def test_a_key_is_limited_to_names_for_good(database: Database) -> None:
    keys = Keys(database, shared=False)
    made, secret = await keys.create(new(only=["town", "shop-*", "shop-*"]))
    await keys.rotate(made.id, 60)
    await keys.refresh()
    assert (await keys.check(secret)).only == ("shop-*", "town")
    assert (await keys.create(new()))[0].covers("anything")


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True), st.text("abc0-_*", max_size=10))
def test_a_limit_covers_its_names_and_beginnings_and_no_other(name: str, other: str) -> None:
    def covers(limit: str) -> bool:
        held = Key.model_construct(only=(limit,))
        return held.covers(other)

    assert covers(name) == (other == name)
    assert covers(f"{name}*") == (other[: len(name)] == name)


def test_limits_that_say_nothing_or_too_much_are_refused() -> None:
    for only in ([], ["*"], [""], ["a*b"], ["a,b"], ["A"], ["../x"], ["x" * 66], ["a"] * 51):
        with pytest.raises(ValidationError):
            new(only=only)
    for scope in (Scope.NODE, Scope.ADMIN):
        with pytest.raises(ValidationError, match="whole cluster"):
            new(Scope.READ, scope, only=["town"])


async def test_a_secret_is_known_by_its_hash_alone(database: Database) -> None:
    keys = Keys(database, shared=False)
    made, secret = await keys.create(new(Scope.SPEAK, Scope.READ))
    assert secret.startswith(f"{made.id}_") and len(secret) == len(made.id) + 44
    assert (await keys.check(secret)).scopes == (Scope.READ, Scope.SPEAK)
    async with database.session() as session:
        kept = str((await session.execute(text("SELECT * FROM api_keys"))).all())
    assert made.id in kept and secret.removeprefix(f"{made.id}_") not in kept
    assert secret not in repr(made)


async def test_what_is_no_key_is_refused(database: Database) -> None:
    keys = Keys(database, shared=False)
    made, secret = await keys.create(new())
    other = f"{made.id}_{'A' * 43}"
    for wrong in (
        other,
        secret[:-1],
        secret + "A",
        "avk_",
        "avk_00000000_" + "A" * 43,
        "avk_" + "x" * 9999,
        "é",
    ):
        assert await code(keys, wrong) == "key_invalid"


async def test_after_a_rotation_both_secrets_hold_until_the_grace_is_over(database: Database) -> None:
    keys = Keys(database, shared=False)
    keys.now = clock = Clock()
    made, first = await keys.create(new())
    _, second = await keys.rotate(made.id, 60)
    assert (await keys.check(first)).id == (await keys.check(second)).id == made.id
    assert keys.require(made.id).old_used_at == clock.at
    clock.wait(61)
    assert await code(keys, first) == "key_expired"
    assert (await keys.check(second)).id == made.id
    _, third = await keys.rotate(made.id, 0)
    assert await code(keys, second) == "key_invalid", "no grace: nothing of it is kept"
    assert (await keys.check(third)).id == made.id


async def test_a_second_rotation_ends_the_first_secret(database: Database) -> None:
    keys = Keys(database, shared=False)
    made, first = await keys.create(new())
    _, second = await keys.rotate(made.id, 600)
    await keys.rotate(made.id, 600)
    assert await code(keys, first) == "key_invalid"
    assert (await keys.check(second)).id == made.id


async def test_whoever_goes_on_by_a_key_hears_when_it_opens_less(database: Database) -> None:
    keys, other = Keys(database, shared=True), Keys(database, shared=True)
    keys.now = other.now = clock = Clock()
    heard: list[str] = []
    keys.narrowed = lambda: heard.append("narrowed")

    async def times() -> int:
        await keys.refresh()
        keys.look()
        told = len(heard)
        heard.clear()
        return told

    first, secret = await keys.create(new(expires_in_s=600))
    second, _ = await other.create(new())
    assert await times() == 0, "another key takes nothing away"
    await keys.check(secret)
    await keys.flush()
    assert await times() == 0, "nor does use"
    await other.rotate(first.id, 60)
    assert (await times(), await times()) == (1, 0), "another secret"
    clock.wait(60)
    assert (await times(), await times()) == (1, 0), "the end of the one before"
    clock.wait(540)
    assert (await times(), await times()) == (1, 0), "the end of the key"
    await other.revoke(second.id)
    assert (await times(), await times()) == (1, 0)
    await keys.revoke(first.id)
    assert len(heard) == 1, "at once where it is done"


async def test_a_key_expires_when_it_was_said_to(database: Database) -> None:
    keys = Keys(database, shared=False)
    keys.now = clock = Clock()
    _, secret = await keys.create(new(expires_in_s=60))
    await keys.check(secret)
    clock.wait(60)
    assert await code(keys, secret) == "key_expired"


async def test_a_revoked_key_is_gone_and_its_hash_too(database: Database) -> None:
    keys = Keys(database, shared=False)
    made, secret = await keys.create(new())
    await keys.revoke(made.id)
    assert await code(keys, secret) == "key_invalid"
    for refused in (keys.revoke(made.id), keys.rotate(made.id, 0)):
        with pytest.raises(NotFound):
            await refused
    async with database.session() as session:
        digest = (await session.execute(text("SELECT digest, old_digest FROM api_keys"))).one()
    assert tuple(digest) == ("", "")


async def test_another_orchestrator_takes_over_what_was_made_rotated_and_revoked(database: Database) -> None:
    here, there = Keys(database, shared=True), Keys(database, shared=True)
    await there.refresh()
    made, first = await here.create(new())
    there._read_at = float("-inf")  # its last reading is long ago
    assert (await there.check(first)).id == made.id, "it reads again before it refuses"
    await here.rotate(made.id, 0)
    await there.refresh()
    assert await code(there, first) == "key_invalid"
    await here.revoke(made.id)
    await there.refresh()
    assert len(there) == 0


async def test_a_flood_of_wrong_keys_asks_sql_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(database, shared=True)
    asked = 0
    real = database.session

    def counted():  # type: ignore[no-untyped-def]
        nonlocal asked
        asked += 1
        return real()

    monkeypatch.setattr(database, "session", counted)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: 1000.0)
    for number in range(200):
        assert await code(keys, f"avk_{number:08x}_{'A' * 43}") == "key_invalid"
    assert asked == 1


async def test_keys_work_while_sql_is_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(database, shared=True)
    made, secret = await keys.create(new())

    def away() -> None:
        raise DatabaseDown("gone")

    monkeypatch.setattr(database, "session", away)
    assert (await keys.check(secret)).id == made.id
    assert await code(keys, f"avk_00000000_{'A' * 43}") == "key_invalid"
    with pytest.raises(DatabaseDown):
        await keys.flush()
    monkeypatch.undo()
    await keys.flush()
    await keys.refresh()
    assert keys.require(made.id).used_at is not None, "what could not be written was not forgotten"


async def test_there_are_so_many_keys_and_no_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 2)
    keys = Keys(database, shared=False)
    made, _ = await keys.create(new())
    await keys.create(new())
    with pytest.raises(Conflict):
        await keys.create(new())
    await keys.revoke(made.id)
    await keys.create(new())


def test_admin_is_every_scope_and_no_other_is() -> None:
    facts = dict.fromkeys(module.Key.model_fields)
    times = {**facts, "id": "avk_1", "name": "x", "created_at": dt.datetime.now(dt.UTC)}
    for own in Scope:
        key = module.Key.model_validate({**times, "scopes": [own]})
        assert [one for one in Scope if key.may(one)] == (list(Scope) if own is Scope.ADMIN else [own])


def test_what_changes_nodes_keys_or_tells_of_others_needs_the_scope_admin() -> None:
    closed = {(one.method, one.path) for one in ROUTES if one.access == "admin" and one.needs is Scope.ADMIN}
    for method, path in (
        ("POST", "/api/keys"),
        ("GET", "/api/keys"),
        ("GET", "/api/audit"),
        ("POST", "/api/nodes/{node}/drain"),
    ):
        assert (method, path) in closed
    reads = [one for one in ROUTES if one.access == "admin" and one.needs is Scope.READ]
    assert {one.method for one in reads} == {"GET"}, "who may read changes nothing"
