"""Analytics of broadcasts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "analytics",
        sa.Column("broadcast", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("span_s", sa.Integer, primary_key=True),
        sa.Column("writer", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("analytics_span", "analytics", ["span_s", "at"])


def downgrade() -> None:
    op.drop_index("analytics_span", "analytics")
    op.drop_table("analytics")
