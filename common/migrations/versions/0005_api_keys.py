"""API keys, whose a session is, and which key did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("old_digest", sa.String(64), nullable=False),
        sa.Column("old_until", moment),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment),
        sa.Column("used_at", moment),
        sa.Column("old_used_at", moment),
        sa.Column("rotated_at", moment),
        sa.Column("revoked_at", moment),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("makes_per_minute", sa.Integer),
        sa.Column("sessions", sa.Integer),
    )
    op.create_index("api_keys_live", "api_keys", ["revoked_at"])
    op.add_column("sessions", sa.Column("account", sa.String(16)))
    op.add_column("audit", sa.Column("key_id", sa.String(16), nullable=False, server_default=""))
    op.add_column("audit", sa.Column("key_name", sa.String(100), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("audit", "key_name")
    op.drop_column("audit", "key_id")
    op.drop_column("sessions", "account")
    op.drop_index("api_keys_live", "api_keys")
    op.drop_table("api_keys")
