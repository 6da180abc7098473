"""The tables of jobs and of uploads."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Instant


class JobRow(Base):
    """A job. `wish` is the JSON of its NewJob; `attempt` counts those who took it, `lost` those who were never heard of again."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_state", "state", "number"),
        Index("jobs_account", "account", "state"),
        Index("jobs_ended", "ended_at"),
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    account: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    wish: Mapped[str] = mapped_column(Text)
    image: Mapped[str | None] = mapped_column(String(64))
    audio: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    begun_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    attempt: Mapped[int] = mapped_column(Integer)
    lost: Mapped[int] = mapped_column(Integer)
    node: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[dt.datetime | None] = mapped_column(Instant)
    step: Mapped[str] = mapped_column(String(64))
    share: Mapped[float] = mapped_column(Float)
    error: Mapped[str | None] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)


class UploadRow(Base):
    """An upload. Its bytes are in the store under `uploads/{id}.{format}`."""

    __tablename__ = "uploads"
    __table_args__ = (Index("uploads_expires", "expires_at"), Index("uploads_account", "account"))

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str | None] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    format: Mapped[str] = mapped_column(String(8))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    expires_at: Mapped[dt.datetime] = mapped_column(Instant)
