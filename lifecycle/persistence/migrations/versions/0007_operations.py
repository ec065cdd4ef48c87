"""Runs: whether one was for its whole period, and how it and what names it is found.

Why: periods that no run has seen to are made up, runs whose process died are said to have crashed, and records that
    nothing names are removed after some years.
Locks: ACCESS EXCLUSIVE on runs for a column with a constant default, which rewrites nothing, and while its two indexes
    are built: a second for a million runs. SHARE on each table that names runs, until all is done: a second for a
    million rows.
Undo: drops them; nothing is lost but which runs were for some customers only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# Tables that name runs, and those of them whose rows need not.
NAMING = ("card_revisions", "cards", "collections", "erasures", "mailings", "plans", "reseller_reports", "withdrawals")
PARTLY_NAMING = (
    *("allocations", "card_renewals", "consents", "contacts", "crm_actions", "holds", "instalments", "messages"),
    *("objections", "payments", "settlements", "switches", "transitions"),
)


def upgrade() -> None:
    op.add_column("runs", sa.Column("whole", sa.Boolean(), server_default="true", nullable=False))
    op.create_index("runs_flow_started_at_idx", "runs", ["flow", "started_at"])
    op.create_index("runs_unfinished_idx", "runs", ["started_at"], postgresql_where=sa.text("outcome = 'running'"))
    for table in NAMING:
        op.create_index(f"{table}_run_id_idx", table, ["run_id"])
    for table in PARTLY_NAMING:
        op.create_index(f"{table}_run_id_idx", table, ["run_id"], postgresql_where=sa.text("run_id IS NOT NULL"))


def downgrade() -> None:
    for table in (*NAMING, *PARTLY_NAMING):
        op.drop_index(f"{table}_run_id_idx", table)
    op.drop_index("runs_unfinished_idx", "runs")
    op.drop_index("runs_flow_started_at_idx", "runs")
    op.drop_column("runs", "whole")
