"""Alembic's entry: runs the migrations on the connection that common.database hands over."""

from __future__ import annotations

from alembic import context

from common.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
