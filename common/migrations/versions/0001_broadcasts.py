"""Broadcasts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broadcasts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("avatar", sa.String(64), nullable=True),
        sa.Column("persona", sa.String(4000), nullable=True),
        sa.Column("open_mic", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("broadcasts_live", "broadcasts", ["ended_at", "created_at"])


def downgrade() -> None:
    op.drop_index("broadcasts_live", "broadcasts")
    op.drop_table("broadcasts")
