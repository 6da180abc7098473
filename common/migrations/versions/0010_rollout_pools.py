"""Of a pool one rollout at most is under way, also when two orchestrators make one at the same moment."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollouts", sa.Column("under_way", sa.String(16)))
    table = sa.table(
        "rollouts",
        *(sa.column(name) for name in ("id", "role", "created_at", "document", "under_way")),
    )
    connection = op.get_bind()
    newest: dict[str, tuple[str, str]] = {}
    for row in connection.execute(sa.select(table).order_by(table.c.created_at, table.c.id)):
        newest[row.role] = row.id, json.loads(row.document)["state"]
    for role, (id, state) in newest.items():
        if state in ("running", "paused"):
            connection.execute(table.update().where(table.c.id == id).values(under_way=role))
    op.create_index("rollouts_under_way", "rollouts", ["under_way"], unique=True)


def downgrade() -> None:
    op.drop_index("rollouts_under_way", "rollouts")
    op.drop_column("rollouts", "under_way")
