"""Memberships: mandates, instalments, collections, withdrawals, and the CRM history.

Why: memberships are renewed from month to month, charged by SEPA direct debit or card, and withdrawn from.
Locks: ACCESS EXCLUSIVE on subscriptions for a column without a default and a foreign key, which reads the table once,
    and on terms for a moment; memberships get the day on which a sweep looks at them, one row each: stop the workers.
Undo: drops mandates, instalments, collections, withdrawals and the CRM history: keep the files that went to the bank.
    Impossible once somebody has withdrawn before a term began: that term never came into force.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# Of these the planner keeps no samples, in which values of the erased would live on. It needs none: nothing is found,
# joined or sorted by them.
_UNSAMPLED = {
    "collections": ("document", "digest"),
    "crm_actions": ("note",),
    "mandates": ("holder", "iban", "bic", "token"),
    "withdrawals": ("note",),
}
_APPEND_ONLY = ("crm_actions", "settlements", "withdrawn_memberships")
_TERM_ENDS = "terms_ends_after_start_check"

# What proves something is only ever added. Erasure may blank the notes, and nothing else.
_REFUSE_REWRITING = """
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(NEW) - 'note' = to_jsonb(OLD) - 'note' AND to_jsonb(NEW) ->> 'note' IS NULL THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "action_types",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "base_type",
            sa.Text(),
            nullable=False,
            comment="what it means to the program: 'withdrawal' ends memberships",
        ),
        sa.Column(
            "in_agenda",
            sa.Boolean(),
            nullable=False,
            comment="whether one can be assigned to a consultant, and stands in that agenda",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("action_types_pkey")),
    )
    op.create_table(
        "collections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False, comment="what the bank or payment provider knows it by"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("collect_on", sa.Date(), nullable=False, comment="the day on which the money is asked for"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="of instalments"),
        sa.Column("document", sa.LargeBinary(), nullable=True, comment="the file; null: somebody in it is erased"),
        sa.Column("digest", sa.Text(), nullable=True, comment="SHA-256 of the document"),
        sa.Column(
            "filed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was put among the documents; null: not yet",
        ),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('sepa', 'card')", name=op.f("collections_kind_check")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("collections_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("collections_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("collections_message_id_key")),
        comment="files of instalments, for the bank (SEPA direct debit) or the payment provider (cards)",
    )
    op.create_index(
        "collections_unfiled_idx", "collections", ["id"], unique=False, postgresql_where=sa.text("filed_at IS NULL")
    )
    op.create_table(
        "crm_actions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("action_type", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("assigned_to", sa.Text(), nullable=True, comment="the operator in whose agenda it stands"),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["action_type"], ["action_types.code"], name=op.f("crm_actions_action_type_fkey")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("crm_actions_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("crm_actions_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("crm_actions_pkey")),
        comment="the CRM history, only ever added",
    )
    op.create_index(
        "crm_actions_assigned_to_idx",
        "crm_actions",
        ["assigned_to"],
        unique=False,
        postgresql_where=sa.text("assigned_to IS NOT NULL"),
    )
    op.create_index(op.f("crm_actions_customer_id_idx"), "crm_actions", ["customer_id"], unique=False)
    op.create_table(
        "mandates",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False, comment="of a mandate, the reference that its bank knows it by"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True, comment="of the account; null: the customer"),
        sa.Column("iban", sa.Text(), nullable=True, comment="only of a mandate for SEPA direct debit"),
        sa.Column("bic", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True, comment="what the payment provider knows a card by"),
        sa.Column("signed_on", sa.Date(), nullable=True),
        sa.Column(
            "ended_on", sa.Date(), nullable=True, comment="business date from which nothing is charged by it any more"
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('sepa', 'card')", name=op.f("mandates_kind_check")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("mandates_customer_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("mandates_pkey")),
        sa.UniqueConstraint("code", name=op.f("mandates_code_key")),
        sa.UniqueConstraint("id", "customer_id", name=op.f("mandates_id_customer_id_key")),
        comment="mandates for SEPA direct debit, and cards; several contracts of a customer may share one",
    )
    op.create_index(op.f("mandates_customer_id_idx"), "mandates", ["customer_id"], unique=False)
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_on", sa.Date(), nullable=False, comment="the last day of validity"),
        sa.Column("action_type", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "note", sa.Text(), nullable=True, comment="as it was typed, while it waits; then it is in the CRM history"
        ),
        sa.Column(
            "prefect_flow_run_id", sa.Uuid(), nullable=True, comment="the run that waits, or waited, for a person"
        ),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False, comment="when it was entered"),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("crm_action_id", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "(state = 'done') = (done_at IS NOT NULL) AND (state = 'done') = (crm_action_id IS NOT NULL)",
            name=op.f("withdrawals_done_check"),
        ),
        sa.CheckConstraint("state IN ('waiting', 'done', 'refused')", name=op.f("withdrawals_state_check")),
        sa.ForeignKeyConstraint(["action_type"], ["action_types.code"], name=op.f("withdrawals_action_type_fkey")),
        sa.ForeignKeyConstraint(["crm_action_id"], ["crm_actions.id"], name=op.f("withdrawals_crm_action_id_fkey")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("withdrawals_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("withdrawals_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("withdrawals_pkey")),
        sa.UniqueConstraint("prefect_flow_run_id", name=op.f("withdrawals_prefect_flow_run_id_key")),
    )
    op.create_index(op.f("withdrawals_customer_id_idx"), "withdrawals", ["customer_id"], unique=False)
    op.create_index(
        "withdrawals_withdrawn_on_idx",
        "withdrawals",
        ["withdrawn_on"],
        unique=False,
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_table(
        "instalments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False, comment="VAT included"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=True, comment="the file with which it was submitted last"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('due', 'submitted', 'paid', 'cancelled', 'to_be_refunded')",
            name=op.f("instalments_status_check"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("instalments_amount_check")),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("instalments_collection_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("instalments_run_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("instalments_subscription_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("instalments_pkey")),
        sa.UniqueConstraint("subscription_id", "due_on", name=op.f("instalments_subscription_id_due_on_key")),
        comment="what is owed under memberships, once a day; after a withdrawal nothing of it is charged any more",
    )
    op.create_index(
        "instalments_collection_id_idx",
        "instalments",
        ["collection_id"],
        unique=False,
        postgresql_where=sa.text("collection_id IS NOT NULL"),
    )
    op.create_index(
        "instalments_due_on_idx", "instalments", ["due_on"], unique=False, postgresql_where=sa.text("status = 'due'")
    )
    op.create_table(
        "withdrawn_memberships",
        sa.Column("subscription_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("withdrawal_id", sa.Uuid(), nullable=False),
        sa.Column("former_expires_on", sa.Date(), nullable=False, comment="its expiry before"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "owed",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="what was due on or before the last day, and not paid nor submitted",
        ),
        sa.Column("removed", sa.Numeric(precision=14, scale=2), nullable=False, comment="what was due later"),
        sa.Column(
            "to_be_refunded",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="what was due later, and submitted or paid",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("withdrawn_memberships_subscription_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["withdrawal_id"], ["withdrawals.id"], name=op.f("withdrawn_memberships_withdrawal_id_fkey")
        ),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("withdrawn_memberships_pkey")),
        comment="what a withdrawal that is done ended: each membership once, for ever. None of it is charged any more",
    )
    op.create_index(
        op.f("withdrawn_memberships_withdrawal_id_idx"), "withdrawn_memberships", ["withdrawal_id"], unique=False
    )
    op.create_table(
        "settlements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("instalment_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=True, comment="the file with which it had been submitted"),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome IN ('paid', 'returned', 'refunded')", name=op.f("settlements_outcome_check")),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("settlements_collection_id_fkey")),
        sa.ForeignKeyConstraint(["instalment_id"], ["instalments.id"], name=op.f("settlements_instalment_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("settlements_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("settlements_pkey")),
        comment="what a person said became of an instalment, only ever added",
    )
    op.create_index(op.f("settlements_instalment_id_idx"), "settlements", ["instalment_id"], unique=False)
    op.add_column(
        "subscriptions",
        sa.Column("mandate_id", sa.BigInteger(), nullable=True, comment="the mandate or card by which it is charged"),
    )
    op.create_index(
        "subscriptions_mandate_id_idx",
        "subscriptions",
        ["mandate_id"],
        unique=False,
        postgresql_where=sa.text("mandate_id IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("subscriptions_mandate_id_fkey"),
        "subscriptions",
        "mandates",
        ["mandate_id", "customer_id"],
        ["id", "customer_id"],
    )
    op.alter_column(
        "terms",
        "expires_on",
        existing_type=sa.DATE(),
        comment="before starts_on: withdrawn from, it never came into force",
        existing_nullable=False,
    )
    op.drop_constraint(op.f(_TERM_ENDS), "terms", type_="check")
    for table, columns in _UNSAMPLED.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER {column} SET STATISTICS 0")
    op.execute(_REFUSE_REWRITING)
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )
    op.execute(
        """
        UPDATE subscription_status SET due_on = expires_on + 1
        FROM subscriptions JOIN products ON products.id = product_id
        WHERE subscription_id = subscriptions.id AND policy = 'membership' AND status NOT IN ('withdrawn', 'ended')
        """
    )


def downgrade() -> None:
    op.create_check_constraint(op.f(_TERM_ENDS), "terms", "expires_on >= starts_on")
    op.execute(
        """
        UPDATE subscription_status SET due_on = NULL
        FROM subscriptions JOIN products ON products.id = product_id
        WHERE subscription_id = subscriptions.id AND policy = 'membership'
        """
    )
    op.alter_column(
        "terms",
        "expires_on",
        existing_type=sa.DATE(),
        comment=None,
        existing_comment="before starts_on: withdrawn from, it never came into force",
        existing_nullable=False,
    )
    op.drop_constraint(op.f("subscriptions_mandate_id_fkey"), "subscriptions", type_="foreignkey")
    op.drop_index(
        "subscriptions_mandate_id_idx", table_name="subscriptions", postgresql_where=sa.text("mandate_id IS NOT NULL")
    )
    op.drop_column("subscriptions", "mandate_id")
    op.drop_index(op.f("settlements_instalment_id_idx"), table_name="settlements")
    op.drop_table("settlements")
    op.drop_index(op.f("withdrawn_memberships_withdrawal_id_idx"), table_name="withdrawn_memberships")
    op.drop_table("withdrawn_memberships")
    op.drop_index("instalments_due_on_idx", table_name="instalments", postgresql_where=sa.text("status = 'due'"))
    op.drop_index(
        "instalments_collection_id_idx", table_name="instalments", postgresql_where=sa.text("collection_id IS NOT NULL")
    )
    op.drop_table("instalments")
    op.drop_index("withdrawals_withdrawn_on_idx", table_name="withdrawals", postgresql_where=sa.text("state = 'done'"))
    op.drop_index(op.f("withdrawals_customer_id_idx"), table_name="withdrawals")
    op.drop_table("withdrawals")
    op.drop_index(op.f("mandates_customer_id_idx"), table_name="mandates")
    op.drop_table("mandates")
    op.drop_index(op.f("crm_actions_customer_id_idx"), table_name="crm_actions")
    op.drop_index(
        "crm_actions_assigned_to_idx", table_name="crm_actions", postgresql_where=sa.text("assigned_to IS NOT NULL")
    )
    op.drop_table("crm_actions")
    op.drop_index("collections_unfiled_idx", table_name="collections", postgresql_where=sa.text("filed_at IS NULL"))
    op.drop_table("collections")
    op.drop_table("action_types")
    op.execute("DROP FUNCTION refuse_rewriting()")
