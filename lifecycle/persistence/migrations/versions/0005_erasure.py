"""Appointments, operators with one-time codes, holds, erasures; every customer has a tombstone.

Why: customers who are inactive are erased, confirmed by an administrator, provably, and once for ever: the ledger
    outside of the database knows them by their tombstones, also where the database comes back from an older backup.
Locks: ACCESS EXCLUSIVE on customers while it is rewritten for the tombstones (some seconds per million), and on
    messages while one check is made again, which reads it once: stop the workers.
Undo: drops appointments, operators, holds and the record of erasures: keep the certificates and the ledger. Deliver
    first: reports that are queued are written as they are sent, which older programs cannot. Impossible once documents
    of cards were erased: they do not come back.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_ADDRESSEE = "messages_addressee_known_check"
_NAMELESS = (
    "(erased_on IS NOT NULL) = (name = '') AND (erased_on IS NULL OR num_nonnulls("
    "email, phone, tax_id, street, city, postcode, notes) = 0)"
)

# Of these the planner keeps no samples, in which values of the erased would live on. It needs none: nothing is found,
# joined or sorted by them.
_UNSAMPLED = {
    "appointments": {"title": "text"},
    "card_revisions": {"document": "bytea", "digest": "text"},
    "consents": {"evidence": "text"},
    "customers": dict.fromkeys(("name", "email", "phone", "tax_id", "street", "city", "postcode", "notes"), "text"),
    "holds": {"reason": "text"},
    "message_attempts": {"reply": "text"},
    "message_bodies": {"subject": "text", "text": "text", "html": "text", "attachment": "bytea"},
    "messages": {"recipient": "text", "recipient_name": "text", "digest": "text"},
    "objections": {"evidence": "text"},
    "payments": {"remittance": "text", "payer": "text", "iban": "text"},
    "subscriptions": {"reference": "text"},
}


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("environment", sa.Text(), nullable=False, comment="LIFECYCLE_ENVIRONMENT when it was first used"),
        sa.Column(
            "database",
            sa.Text(),
            nullable=False,
            comment="its name then: a copy under another name sends and erases nothing",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("installation_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("installation_pkey")),
    )
    op.create_table(
        "operators",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("administrator", sa.Boolean(), nullable=False, comment="may confirm erasures"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("operators_pkey")),
        sa.UniqueConstraint("code", name=op.f("operators_code_key")),
        comment="our own people, not customers",
    )
    op.create_table(
        "enrolments",
        sa.Column("operator_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "secret",
            sa.LargeBinary(),
            nullable=False,
            comment="of its one-time codes (RFC 6238), encrypted by a key that is not in here",
        ),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "last_step",
            sa.BigInteger(),
            nullable=True,
            comment="the last time step whose code was used: each goes once",
        ),
        sa.Column(
            "failures", sa.Integer(), server_default="0", nullable=False, comment="wrong codes since the last right one"
        ),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True, comment="until then no code is accepted"),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"], name=op.f("enrolments_operator_id_fkey")),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("enrolments_pkey")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="the run that showed it"),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False, comment="of inactivity, as it was asked for"),
        sa.Column("since", sa.Date(), nullable=False, comment="the first day of the period"),
        sa.Column("segment", sa.Text(), nullable=False, comment="as it is typed; empty: all customers"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="of the criteria and of whom it showed: what an approval is bound to",
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "inactive",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="how many were found in all: to be erased, and kept",
        ),
        sa.Column(
            "kept",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="how many were kept, by reason; for several, with each",
        ),
        sa.Column("shown_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lapses_at", sa.DateTime(timezone=True), nullable=False, comment="not approved by then, it is void"),
        sa.Column("prefect_flow_run_id", sa.Uuid(), nullable=True, comment="the run that waits for an administrator"),
        sa.Column(
            "preview",
            sa.Boolean(),
            nullable=False,
            comment="names may be among that run's artifacts: they are removed when it ends",
        ),
        sa.Column("answers", sa.Integer(), server_default="0", nullable=False, comment="how many were not accepted"),
        sa.Column("approved_by", sa.Text(), nullable=True, comment="the operator's code"),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True, comment="a PDF that names nobody"),
        sa.Column(
            "ledger_page",
            sa.Integer(),
            nullable=True,
            comment="of the ledger outside of the database; null: not in it yet",
        ),
        sa.CheckConstraint(
            "(state IN ('approved', 'done')) = (approved_by IS NOT NULL) "
            "AND (approved_by IS NULL) = (approved_at IS NULL)",
            name=op.f("erasures_approved_check"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'approved', 'done', 'refused', 'lapsed')", name=op.f("erasures_state_check")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("erasures_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("erasures_pkey")),
    )
    op.create_index(
        "erasures_open_idx",
        "erasures",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'approved')"),
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('booked', 'attended', 'cancelled', 'no_show')", name=op.f("appointments_status_check")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("appointments_customer_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("appointments_pkey")),
        sa.UniqueConstraint("code", name=op.f("appointments_code_key")),
    )
    op.create_index(
        "appointments_customer_id_starts_at_idx", "appointments", ["customer_id", "starts_at"], unique=False
    )
    op.create_index("appointments_starts_at_idx", "appointments", ["starts_at"], unique=False)
    op.create_table(
        "erasure_portions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("erased_on", sa.Date(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column(
            "ledger_page",
            sa.Integer(),
            nullable=True,
            comment="of the ledger outside of the database; null: not in it yet",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name=op.f("erasure_portions_erasure_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("erasure_portions_pkey")),
        comment="the customers erased in one transaction",
    )
    op.create_index(op.f("erasure_portions_erasure_id_idx"), "erasure_portions", ["erasure_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False, comment="last day on which its customer is not erased"),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("holds_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("holds_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("holds_pkey")),
        comment="only ever added; of a customer's with the same reason the last recorded one counts",
    )
    op.create_index(op.f("holds_customer_id_idx"), "holds", ["customer_id"], unique=False)
    op.create_table(
        "erasure_candidates",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("last_appointment_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), server_default="shown", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was left out"),
        sa.Column("portion_id", sa.Uuid(), nullable=True, comment="with which it was erased"),
        sa.CheckConstraint(
            "(state = 'erased') = (portion_id IS NOT NULL)", name=op.f("erasure_candidates_erased_check")
        ),
        sa.CheckConstraint(
            "state IN ('shown', 'taken out', 'left out', 'erased')", name=op.f("erasure_candidates_state_check")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("erasure_candidates_customer_id_fkey")),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name=op.f("erasure_candidates_erasure_id_fkey")),
        sa.ForeignKeyConstraint(
            ["portion_id"], ["erasure_portions.id"], name=op.f("erasure_candidates_portion_id_fkey")
        ),
        sa.PrimaryKeyConstraint("erasure_id", "customer_id", name=op.f("erasure_candidates_pkey")),
        comment="whom an administrator was shown, and what became of each",
    )
    op.create_index(
        "erasure_candidates_portion_id_idx",
        "erasure_candidates",
        ["portion_id"],
        unique=False,
        postgresql_where=sa.text("portion_id IS NOT NULL"),
    )
    op.create_index(
        "allocations_customer_id_idx",
        "allocations",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.alter_column(
        "card_revisions",
        "document",
        existing_type=postgresql.BYTEA(),
        nullable=True,
        comment="the PDF, as it is mailed; null: its customer is erased",
        existing_comment="the PDF, as it is mailed",
    )
    op.alter_column(
        "card_revisions", "digest", existing_type=sa.TEXT(), nullable=True, existing_comment="SHA-256 of the document"
    )
    op.add_column(
        "customers",
        sa.Column(
            "tombstone",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="random: stands for it in the ledger of erasures, which is outside of the database",
        ),
    )
    op.alter_column("customers", "name", existing_type=sa.TEXT(), comment="empty: erased", existing_nullable=False)
    op.create_unique_constraint(op.f("customers_tombstone_key"), "customers", ["tombstone"])
    op.add_column("messages", sa.Column("to_operator_id", sa.BigInteger(), nullable=True))
    op.alter_column(
        "messages",
        "recipient",
        existing_type=sa.TEXT(),
        comment="empty for calls, and of who is erased",
        existing_comment="empty for calls",
        existing_nullable=False,
    )
    op.alter_column(
        "messages",
        "recipient_name",
        existing_type=sa.TEXT(),
        comment="empty for calls, and of who is erased",
        existing_comment="empty for calls",
        existing_nullable=False,
    )
    op.alter_column(
        "messages",
        "digest",
        existing_type=sa.TEXT(),
        comment="SHA-256 of the mail as it was last handed over: of texts with a name",
        existing_comment="SHA-256 of the mail as it was last handed over",
        existing_nullable=True,
    )
    for table, columns in _UNSAMPLED.items():
        for column, kind in columns.items():
            # The type is the same: saying it again throws away the samples there are.
            op.execute(f"ALTER TABLE {table} ALTER {column} TYPE {kind}, ALTER {column} SET STATISTICS 0")
    op.create_check_constraint(op.f("customers_erased_is_nameless_check"), "customers", _NAMELESS)
    # From now on reports are written as they are sent, with the names of then.
    op.execute("DELETE FROM message_bodies USING messages WHERE messages.id = message_id AND kind = 'reseller-report'")
    op.drop_constraint(op.f(_ADDRESSEE), "messages", type_="check")
    op.create_check_constraint(
        op.f(_ADDRESSEE),
        "messages",
        "channel = 'call' OR customer_id IS NOT NULL "
        "OR (channel = 'mail' AND num_nonnulls(reseller_id, to_operator_id) > 0)",
    )
    op.create_foreign_key(op.f("messages_to_operator_id_fkey"), "messages", "operators", ["to_operator_id"], ["id"])
    op.create_table_comment(
        "payments",
        "of one that also paid for another customer, the texts go with the first that is erased",
        existing_comment=None,
        schema=None,
    )
    op.create_table_comment("resellers", "partners, not customers", existing_comment=None, schema=None)


def downgrade() -> None:
    for table, columns in _UNSAMPLED.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER {column} SET STATISTICS -1")
    op.drop_table_comment("resellers", existing_comment="partners, not customers", schema=None)
    op.drop_table_comment(
        "payments",
        existing_comment="of one that also paid for another customer, the texts go with the first that is erased",
        schema=None,
    )
    op.execute(
        "DELETE FROM message_attempts USING messages WHERE messages.id = message_id AND to_operator_id IS NOT NULL"
    )
    op.execute(
        "DELETE FROM message_bodies USING messages WHERE messages.id = message_id AND to_operator_id IS NOT NULL"
    )
    op.execute("DELETE FROM messages WHERE to_operator_id IS NOT NULL")
    op.drop_constraint(op.f(_ADDRESSEE), "messages", type_="check")
    op.create_check_constraint(
        op.f(_ADDRESSEE),
        "messages",
        "channel = 'call' OR customer_id IS NOT NULL OR (channel = 'mail' AND reseller_id IS NOT NULL)",
    )
    op.drop_constraint(op.f("customers_erased_is_nameless_check"), "customers", type_="check")
    op.drop_constraint(op.f("messages_to_operator_id_fkey"), "messages", type_="foreignkey")
    op.alter_column(
        "messages",
        "digest",
        existing_type=sa.TEXT(),
        comment="SHA-256 of the mail as it was last handed over",
        existing_comment="SHA-256 of the mail as it was last handed over: of texts with a name",
        existing_nullable=True,
    )
    op.alter_column(
        "messages",
        "recipient_name",
        existing_type=sa.TEXT(),
        comment="empty for calls",
        existing_comment="empty for calls, and of who is erased",
        existing_nullable=False,
    )
    op.alter_column(
        "messages",
        "recipient",
        existing_type=sa.TEXT(),
        comment="empty for calls",
        existing_comment="empty for calls, and of who is erased",
        existing_nullable=False,
    )
    op.drop_column("messages", "to_operator_id")
    op.drop_constraint(op.f("customers_tombstone_key"), "customers", type_="unique")
    op.alter_column(
        "customers",
        "name",
        existing_type=sa.TEXT(),
        comment=None,
        existing_comment="empty: erased",
        existing_nullable=False,
    )
    op.drop_column("customers", "tombstone")
    op.alter_column(
        "card_revisions", "digest", existing_type=sa.TEXT(), nullable=False, existing_comment="SHA-256 of the document"
    )
    op.alter_column(
        "card_revisions",
        "document",
        existing_type=postgresql.BYTEA(),
        nullable=False,
        comment="the PDF, as it is mailed",
        existing_comment="the PDF, as it is mailed; null: its customer is erased",
    )
    op.drop_index(
        "allocations_customer_id_idx", table_name="allocations", postgresql_where=sa.text("customer_id IS NOT NULL")
    )
    op.drop_index(
        "erasure_candidates_portion_id_idx",
        table_name="erasure_candidates",
        postgresql_where=sa.text("portion_id IS NOT NULL"),
    )
    op.drop_table("erasure_candidates")
    op.drop_index(op.f("holds_customer_id_idx"), table_name="holds")
    op.drop_table("holds")
    op.drop_index(op.f("erasure_portions_erasure_id_idx"), table_name="erasure_portions")
    op.drop_table("erasure_portions")
    op.drop_index("appointments_starts_at_idx", table_name="appointments")
    op.drop_index("appointments_customer_id_starts_at_idx", table_name="appointments")
    op.drop_table("appointments")
    op.drop_index(
        "erasures_open_idx", table_name="erasures", postgresql_where=sa.text("state IN ('waiting', 'approved')")
    )
    op.drop_table("erasures")
    op.drop_table("enrolments")
    op.drop_table("operators")
    op.drop_table("installation")
