"""Signing keys turn: another signs after so many days, known to all before; each is believed until its last token has ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from common.auth import MOST_TOKEN_S, Audience, Tokens
from common.database import Database, DatabaseDown
from common.errors import Unauthorized
from orchestrator.signing import LEAD_S, Signing

SECRET = "0123456789abcdef0123456789abcdef"
DAY = 86_400.0


class Clock:
    """The time of keys, moved by hand."""

    def __init__(self) -> None:
        self.at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open("", tmp_path)
    yield opened
    await opened.close()


class One:
    """An orchestrator's signing, without its loop."""

    def __init__(self, database: Database, clock: Clock, *, secret: str = SECRET, signs: bool = True) -> None:
        self.tokens = Tokens(secret)
        self.signing = Signing(database, self.tokens, secret, days=30, signs=signs)
        self.signing.now = clock

    def issue(self) -> str:
        return self.tokens.issue(Audience.VIEWER, "demo", ttl_s=MOST_TOKEN_S)

    def believes(self, token: str) -> bool:
        try:
            return self.tokens.verify(token, Audience.VIEWER).subject == "demo"
        except Unauthorized:
            return False

    def kids(self) -> list[str]:
        return [one.kid for one in self.signing.public()]


async def test_the_first_key_signs_at_once_and_is_kept_sealed(database: Database) -> None:
    clock = Clock()
    one, again = One(database, clock), One(database, clock)
    await one.signing.round()
    await again.signing.round()
    assert one.kids() == again.kids() and len(one.kids()) == 1
    assert again.believes(one.issue()) and one.believes(again.issue())
    async with database.session() as session:
        kept = str((await session.execute(text("SELECT * FROM signing_keys"))).all())
    assert one.kids()[0] in kept and SECRET not in kept


async def test_a_key_is_public_before_it_signs_and_believed_until_its_last_token_ends(
    database: Database,
) -> None:
    clock = Clock()
    one, verifier = One(database, clock), Tokens("")
    await one.signing.round()
    first = one.kids()[0]
    clock.wait(30 * DAY)
    old = one.issue()
    await one.signing.round()
    new = one.kids()[0]
    assert len(one.kids()) == 2 and new != first
    verifier.learn(one.signing.public())  # what nodes are told now
    assert one.tokens._signing is not None and one.tokens._signing.public.kid == first, (
        "not before all know it"
    )
    clock.wait(LEAD_S)
    await one.signing.round()
    assert one.tokens._signing.public.kid == new
    assert verifier.verify(one.issue(), Audience.VIEWER).subject == "demo"
    assert one.believes(old)
    clock.wait(20 * DAY)
    await one.signing.round()
    assert len(one.kids()) == 2, "nothing is due"
    for _ in range(5):
        clock.wait(15 * DAY)
        await one.signing.round()
    assert first not in one.kids() and new in one.kids()
    assert not one.believes(old)
    assert len(one.kids()) <= 5


async def test_all_orchestrators_turn_at_the_same_moment(database: Database) -> None:
    clock = Clock()
    both = One(database, clock), One(database, clock)
    for _ in range(40):
        for one in both:
            await one.signing.round()
        assert both[0].kids() == both[1].kids()
        assert both[0].believes(both[1].issue()) and both[1].believes(both[0].issue())
        clock.wait(2.9 * DAY)


async def test_a_renewed_key_ends_all_tokens(database: Database) -> None:
    clock = Clock()
    one, other = One(database, clock), One(database, clock)
    for each in (one, other):
        await each.signing.round()
    token = one.issue()
    await one.signing.renew()
    assert not one.believes(token) and one.believes(one.issue())
    await other.signing.round()
    assert not other.believes(token) and other.believes(one.issue()) and one.believes(other.issue())


async def test_with_another_secret_another_key_signs_and_the_old_is_still_believed(
    database: Database,
) -> None:
    clock = Clock()
    one = One(database, clock)
    await one.signing.round()
    token = one.issue()
    changed = One(database, clock, secret=SECRET[::-1])
    await changed.signing.round()
    assert len(changed.kids()) == 2
    assert changed.believes(token)
    assert changed.tokens._signing is not None and changed.tokens._signing.public.kid != one.kids()[0]


async def test_without_sql_signing_goes_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    one = One(database, clock)
    await one.signing.round()

    def away() -> None:
        raise DatabaseDown("gone")

    monkeypatch.setattr(database, "session", away)
    with pytest.raises(DatabaseDown):
        await one.signing.round()
    assert one.believes(one.issue())


async def test_by_setting_the_secret_signs(database: Database) -> None:
    clock = Clock()
    one = One(database, clock, signs=False)
    await one.signing.round()
    assert one.kids() == [] and not one.tokens.signs_by_key
    assert Tokens(SECRET).verify(one.issue(), Audience.VIEWER).subject == "demo"
