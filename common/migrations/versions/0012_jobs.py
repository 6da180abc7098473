"""Jobs and their uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("account", sa.String(16)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("wish", sa.Text, nullable=False),
        sa.Column("image", sa.String(64)),
        sa.Column("audio", sa.String(64)),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("begun_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.Column("node", sa.String(64)),
        sa.Column("leased_until", moment),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
    )
    op.create_index("jobs_state", "jobs", ["state", "number"])
    op.create_index("jobs_account", "jobs", ["account", "state"])
    op.create_index("jobs_ended", "jobs", ["ended_at"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(16)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
    )
    op.create_index("uploads_expires", "uploads", ["expires_at"])
    op.create_index("uploads_account", "uploads", ["account"])


def downgrade() -> None:
    op.drop_table("uploads")
    op.drop_table("jobs")
