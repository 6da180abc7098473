"""Interactive sessions, and broadcasts that never leave WebRTC."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "broadcasts", sa.Column("webrtc_only", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), nullable=True),
        sa.Column("ttl_s", sa.Float, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dialogue", sa.Text, nullable=False),
    )
    op.create_index("sessions_live", "sessions", ["ended_at", "created_at"])


def downgrade() -> None:
    op.drop_index("sessions_live", "sessions")
    op.drop_table("sessions")
    op.drop_column("broadcasts", "webrtc_only")
