"""The daily expiry sweep: where each subscription stands, plans, and calls in the outbox.

Why: a sweep finds by index what is due, writes down what it would do before it does it, and tells another system.
Locks: messages exclusively, for as long as it takes to add three columns and build two indexes on it; readers of other
    tables go on. The status of each subscription is filled from its terms: seconds for a million.
Undo: drops plans and statuses, and calls that were made; transitions stay.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('made', 'waiting', 'approved', 'refused', 'done')", name=op.f("plans_state_check")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("plans_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("plans_pkey")),
    )
    op.create_index("plans_digest_idx", "plans", ["digest"], unique=False)
    op.create_table(
        "plan_steps",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column(
            "expires_on",
            sa.Date(),
            nullable=False,
            comment="the lapse it is about: a renewal since makes the step void",
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("plan_steps_plan_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("plan_steps_subscription_id_fkey")
        ),
        sa.PrimaryKeyConstraint("plan_id", "subscription_id", "step", name=op.f("plan_steps_pkey")),
    )
    op.create_table(
        "subscription_status",
        sa.Column("subscription_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "status",
            sa.Text(),
            server_default="active",
            nullable=False,
            comment="of the last transition; without one, active",
        ),
        sa.Column("expires_on", sa.Date(), nullable=False, comment="the expiry as it is known now"),
        sa.Column(
            "due_on",
            sa.Date(),
            nullable=True,
            comment="first day on which a sweep must look; null: not before a renewal",
        ),
        sa.CheckConstraint(
            "status IN ('active', 'expired', 'disabled', 'suspended', 'deleted', 'withdrawn', 'ended')",
            name=op.f("subscription_status_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("subscription_status_subscription_id_fkey")
        ),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("subscription_status_pkey")),
        comment="what the facts add up to now, so that a sweep finds its work by index",
    )
    op.create_index(
        "subscription_status_due_on_idx",
        "subscription_status",
        ["due_on"],
        unique=False,
        postgresql_where=sa.text("due_on IS NOT NULL"),
    )
    op.create_index("subscription_status_expires_on_idx", "subscription_status", ["expires_on"], unique=False)
    op.add_column("messages", sa.Column("channel", sa.Text(), server_default="mail", nullable=False))
    op.add_column("messages", sa.Column("subscription_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "messages",
        sa.Column(
            "facts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="codes and dates of which a message without a body is written",
        ),
    )
    op.alter_column(
        "messages", "recipient", existing_type=sa.TEXT(), comment="empty for calls", existing_nullable=False
    )
    op.alter_column(
        "messages", "recipient_name", existing_type=sa.TEXT(), comment="empty for calls", existing_nullable=False
    )
    op.drop_index(op.f("messages_due_idx"), table_name="messages", postgresql_where="(state = 'queued'::text)")
    op.create_index(
        "messages_due_idx",
        "messages",
        ["channel", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "messages_subscription_id_idx",
        "messages",
        ["subscription_id"],
        unique=False,
        postgresql_where=sa.text("subscription_id IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("messages_subscription_id_fkey"), "messages", "subscriptions", ["subscription_id"], ["id"]
    )
    op.create_check_constraint(op.f("messages_channel_check"), "messages", "channel IN ('mail', 'call')")
    op.execute(
        """
        INSERT INTO subscription_status (subscription_id, expires_on, due_on)
        SELECT DISTINCT ON (terms.subscription_id) terms.subscription_id, terms.expires_on,
            CASE WHEN policy = 'licence' THEN (terms.expires_on + interval '3 months')::date + 1 END
        FROM terms
        JOIN subscriptions ON subscriptions.id = terms.subscription_id
        JOIN products ON products.id = product_id
        ORDER BY terms.subscription_id, terms.starts_on DESC, terms.recorded_at DESC
        """
    )


def downgrade() -> None:
    op.execute("DELETE FROM message_attempts USING messages WHERE message_id = messages.id AND channel = 'call'")
    op.execute("DELETE FROM messages WHERE channel = 'call'")
    for column in ("facts", "subscription_id", "channel"):
        op.drop_column("messages", column)
    op.create_index("messages_due_idx", "messages", ["due_at", "id"], postgresql_where=sa.text("state = 'queued'"))
    for column in ("recipient", "recipient_name"):
        op.alter_column("messages", column, existing_type=sa.Text(), existing_nullable=False, comment=None)
    for table in ("subscription_status", "plan_steps", "plans"):
        op.drop_table(table)
