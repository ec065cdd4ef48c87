"""Runs: whether one was for its whole period, and how it is found.

Why: periods that no run has seen to are made up, and runs whose process died are said to have crashed.
Locks: ACCESS EXCLUSIVE on runs for a column with a constant default, which rewrites nothing, and while its two indexes
    are built: a second for a million runs.
Undo: drops them; nothing is lost but which runs were for some customers only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("runs", sa.Column("whole", sa.Boolean(), server_default="true", nullable=False))
    op.create_index("runs_flow_started_at_idx", "runs", ["flow", "started_at"])
    op.create_index("runs_unfinished_idx", "runs", ["started_at"], postgresql_where=sa.text("outcome = 'running'"))


def downgrade() -> None:
    op.drop_index("runs_unfinished_idx", "runs")
    op.drop_index("runs_flow_started_at_idx", "runs")
    op.drop_column("runs", "whole")
