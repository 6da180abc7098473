"""The keys that sign tokens, in SQL for all orchestrators: made, rotated, forgotten when no token of theirs can be valid any more.

    made ──LEAD_S──► signs ── `days` ──► believed only ── MOST_TOKEN_S ──► forgotten
         └─ public at once (directories, JWKS), so that everybody knows a key before its first token comes

What signs, what is believed and what is due is decided by pure functions of the keys and the time. Two orchestrators that find a key
due at the same moment make two; the one with the greater id signs for both.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from common.auth import MOST_TOKEN_S, Tokens
from common.database import Base, Database, DatabaseDown, Instant
from common.log import log
from common.signing import MOST_KEYS, PublicKey, SigningKey
from common.tasks import end_tasks

_log = log("orchestrator")

LEAD_S = 60.0
"""A new key waits so long before it signs: several heartbeats of nodes, and as long as JWKS may be cached."""
REFRESH_S = 2.0


class SigningRow(Base):
    """The table. `sealed` is the private half, encrypted with the cluster's secret."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    x: Mapped[str] = mapped_column(String(64))
    sealed: Mapped[str] = mapped_column(String(200))
    signs_from: Mapped[dt.datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Turn:
    """A key and when it begins to sign. `key` is None when it was sealed with another secret."""

    public: PublicKey
    signs_from: dt.datetime
    key: SigningKey | None

    @property
    def order(self) -> tuple[dt.datetime, str]:
        """The later one signs."""
        return self.signs_from, self.public.kid


def signer(turns: Sequence[Turn], now: dt.datetime) -> Turn | None:
    """Which key signs."""
    return max(
        (one for one in turns if one.key and one.signs_from <= now), key=lambda one: one.order, default=None
    )


def due(turns: Sequence[Turn], now: dt.datetime, days: float) -> dt.datetime | None:
    """From when a key that must be made now signs; None when none is due."""
    usable = [one for one in turns if one.key]
    if not usable:
        return now
    newest = max(usable, key=lambda one: one.order)
    age = now - newest.signs_from
    return now + dt.timedelta(seconds=LEAD_S) if age >= dt.timedelta(days=days) else None


def spent(turns: Sequence[Turn], now: dt.datetime) -> list[str]:
    """Keys that no valid token can be signed with: another one has signed for longer than tokens live."""
    ordered = sorted(turns, key=lambda one: one.order)
    longest = dt.timedelta(seconds=MOST_TOKEN_S)
    return [
        one.public.kid for one, after in pairwise(ordered) if after.key and after.signs_from + longest < now
    ]


class Signing:
    """Keeps the keys, and tells `tokens` which one signs and which are believed."""

    def __init__(self, database: Database, tokens: Tokens, secret: str, *, days: float, signs: bool) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        """The clock of keys."""
        self.turned: Callable[[], None] = lambda: None
        """Called when other keys are believed than before."""
        self._database = database
        self._tokens = tokens
        self._secret = secret
        self._days = days
        self._signs = signs
        self._turns: tuple[Turn, ...] = ()
        self._unsealed: dict[str, SigningKey | None] = {}
        self._task: asyncio.Task[None] | None = None

    def public(self) -> list[PublicKey]:
        """What is believed, the newest first."""
        turns = sorted(self._turns, key=lambda one: one.order, reverse=True)
        return [one.public for one in turns[:MOST_KEYS]]

    async def start(self) -> None:
        """Reads the keys, makes the first one, and begins to keep them. Raises DatabaseDown."""
        await self.round()
        self._task = asyncio.create_task(self._run(), name="orchestrator signing")

    async def close(self) -> None:
        """Ends it."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.round()
            except DatabaseDown:
                self._apply()  # what is known goes on, also to the key whose turn it is now
            except Exception as error:
                _log.error("signing_failed", exc_info=error)

    async def round(self) -> None:
        """Reads, makes what is due, forgets what is spent. Raises DatabaseDown."""
        now = self.now()
        async with self._database.session() as session:
            rows = (await session.scalars(select(SigningRow))).all()
            turns = [self._turn(row) for row in rows]
            signs_from = due(turns, now, self._days) if self._signs else None
            if signs_from is not None:
                made = self._made(SigningKey.make(), signs_from)
                session.add(made)
                turns.append(self._turn(made))
                _log.info("signing:made", kid=made.kid, signs_from=signs_from.isoformat())
            gone = spent(turns, now)
            if gone:
                await session.execute(delete(SigningRow).where(SigningRow.kid.in_(gone)))
                turns = [one for one in turns if one.public.kid not in gone]
                _log.info("signing:forgotten", kids=gone)
        self._turns = tuple(turns)
        self._unsealed = {
            kid: key for kid, key in self._unsealed.items() if kid in {t.public.kid for t in turns}
        }
        self._apply()

    async def renew(self) -> PublicKey:
        """Another key signs from now on, and no other is believed: for when one may have leaked. All tokens that are out end; nodes
        know within a heartbeat. Raises DatabaseDown."""
        made = self._made(SigningKey.make(), self.now())
        async with self._database.session() as session:
            await session.execute(delete(SigningRow))
            session.add(made)
        turn = self._turn(made)
        self._turns = (turn,)
        self._apply()
        _log.warning("signing:renewed", kid=made.kid)
        return turn.public

    def _apply(self) -> None:
        found = signer(self._turns, self.now()) if self._signs else None
        turned = self._tokens.learn(one.public for one in self._turns)
        self._tokens.sign_with(found.key if found is not None else None)
        if turned:
            self.turned()

    def _made(self, key: SigningKey, signs_from: dt.datetime) -> SigningRow:
        self._unsealed[key.public.kid] = key
        return SigningRow(
            kid=key.public.kid, x=key.public.x, sealed=key.seal(self._secret), signs_from=signs_from
        )

    def _turn(self, row: SigningRow) -> Turn:
        if row.kid not in self._unsealed:
            self._unsealed[row.kid] = SigningKey.unseal(row.sealed, row.kid, self._secret)
            if self._unsealed[row.kid] is None:
                _log.warning("signing:sealed_with_another_secret", kid=row.kid)
        return Turn(PublicKey(kid=row.kid, x=row.x), row.signs_from, self._unsealed[row.kid])
