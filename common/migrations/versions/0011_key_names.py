"""What an API key is limited to, by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("only_names", sa.Text))


def downgrade() -> None:
    op.drop_column("api_keys", "only_names")
