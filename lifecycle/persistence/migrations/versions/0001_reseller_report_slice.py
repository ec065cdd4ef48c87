"""The reseller report slice: the first tables.

Why: customers, what they subscribed to and until when, who looks after them, what was reported and sent, by which run.
Locks: none that matter; nothing exists yet.
Undo: drops everything, all data included.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("period_months", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("vat_rate", sa.Numeric(precision=5, scale=2), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "policy IN ('licence', 'service', 'membership', 'custom')", name=op.f("products_policy_check")
        ),
        sa.CheckConstraint("period_months > 0", name=op.f("products_period_months_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("products_pkey")),
        sa.UniqueConstraint("code", name=op.f("products_code_key")),
    )
    op.create_table(
        "resellers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True, comment="null: the installation's default"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("resellers_pkey")),
        sa.UniqueConstraint("code", name=op.f("resellers_code_key")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="running", nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("prefect_flow_run_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("runs_pkey")),
    )
    op.create_index("runs_flow_business_date_idx", "runs", ["flow", "business_date"], unique=False)
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("tax_id", sa.Text(), nullable=True),
        sa.Column("street", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("postcode", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True, comment="null: the installation's default"),
        sa.Column(
            "created_on",
            sa.Date(),
            nullable=True,
            comment="the day the business took the customer on, where it is known",
        ),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column(
            "imported_reseller_id",
            sa.BigInteger(),
            nullable=True,
            comment="the reseller that the last import of customers named",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('company', 'person')", name=op.f("customers_kind_check")),
        sa.ForeignKeyConstraint(
            ["imported_reseller_id"], ["resellers.id"], name=op.f("customers_imported_reseller_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("customers_pkey")),
        sa.UniqueConstraint("code", name=op.f("customers_code_key")),
    )
    op.create_table(
        "reseller_reports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reseller_id", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False, comment="its first day, the day as of which the report is"),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False, comment="facts recorded later do not count"),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["reseller_id"], ["resellers.id"], name=op.f("reseller_reports_reseller_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("reseller_reports_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("reseller_reports_pkey")),
        sa.UniqueConstraint("month", "reseller_id", name=op.f("reseller_reports_month_reseller_id_key")),
    )
    op.create_table(
        "associations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("reseller_id", sa.BigInteger(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True, comment="last day; before from_on: it never came into force"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("associations_customer_id_fkey")),
        sa.ForeignKeyConstraint(["reseller_id"], ["resellers.id"], name=op.f("associations_reseller_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("associations_pkey")),
        sa.UniqueConstraint(
            "customer_id",
            "reseller_id",
            "from_on",
            "recorded_at",
            name=op.f("associations_customer_id_reseller_id_from_on_recorded_at_key"),
        ),
        comment="versions of periods; the last recorded one of the period with the latest start counts",
    )
    op.create_index(
        "associations_as_known_idx",
        "associations",
        [
            "customer_id",
            sa.literal_column("from_on DESC"),
            sa.literal_column("recorded_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        postgresql_include=["reseller_id", "until_on"],
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="natural key: kind, whom it concerns, what for"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("recipient_name", sa.Text(), nullable=False),
        sa.Column("reseller_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="the mail's Date",
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="not tried before",
        ),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True, comment="SHA-256 of the mail as it was last handed over"),
        sa.CheckConstraint(
            "state IN ('withheld', 'queued', 'sending', 'sent', 'in_doubt', 'failed', 'cancelled')",
            name=op.f("messages_state_check"),
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("messages_customer_id_fkey")),
        sa.ForeignKeyConstraint(["reseller_id"], ["resellers.id"], name=op.f("messages_reseller_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("messages_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("messages_pkey")),
        sa.UniqueConstraint("key", name=op.f("messages_key_key")),
    )
    op.create_index(
        "messages_customer_id_idx",
        "messages",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        "messages_due_idx", "messages", ["due_at", "id"], unique=False, postgresql_where=sa.text("state = 'queued'")
    )
    op.create_index(
        "messages_reseller_id_idx",
        "messages",
        ["reseller_id"],
        unique=False,
        postgresql_where=sa.text("reseller_id IS NOT NULL"),
    )
    op.create_index(
        "messages_unsettled_idx",
        "messages",
        ["state", "lease_until"],
        unique=False,
        postgresql_where=sa.text("state IN ('sending', 'in_doubt', 'failed')"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "anchor",
            sa.Date(),
            nullable=False,
            comment="the first term's starts_on: terms follow one another from here",
        ),
        sa.Column("reference", sa.Text(), nullable=True, comment="what it is known by, a domain say"),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=14, scale=2), nullable=True, comment="null: the product's price"),
        sa.Column("auto_renew", sa.Boolean(), nullable=False),
        sa.Column("charge_method", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "charge_method IN ('transfer', 'sepa', 'card')", name=op.f("subscriptions_charge_method_check")
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("subscriptions_quantity_check")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("subscriptions_customer_id_fkey")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("subscriptions_product_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscriptions_pkey")),
        sa.UniqueConstraint("code", name=op.f("subscriptions_code_key")),
    )
    op.create_index(op.f("subscriptions_customer_id_idx"), "subscriptions", ["customer_id"], unique=False)
    op.create_table(
        "message_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column(
            "carrier",
            sa.Text(),
            nullable=False,
            comment="the server or folder it was handed to: evidence of it is only there",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True, comment="null: nobody saw how it ended"),
        sa.Column("reply", sa.Text(), nullable=True, comment="what the server said; it may repeat an address"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("message_attempts_message_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("message_attempts_pkey")),
    )
    op.create_index(op.f("message_attempts_message_id_idx"), "message_attempts", ["message_id"], unique=False)
    op.create_table(
        "message_bodies",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("attachment_name", sa.Text(), nullable=True),
        sa.Column("attachment_type", sa.Text(), nullable=True),
        sa.Column("attachment", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("message_bodies_message_id_fkey")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("message_bodies_pkey")),
        comment="only until the message is sent",
    )
    op.create_table(
        "reseller_report_lines",
        sa.Column("report_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("access_ends_on", sa.Date(), nullable=False, comment="first day without access"),
        sa.CheckConstraint(
            "section IN ('expiring', 'open', 'disabled')", name=op.f("reseller_report_lines_section_check")
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reseller_reports.id"], name=op.f("reseller_report_lines_report_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("reseller_report_lines_subscription_id_fkey")
        ),
        sa.PrimaryKeyConstraint("report_id", "subscription_id", name=op.f("reseller_report_lines_pkey")),
        comment="names are looked up when a report is shown, so that none is kept here",
    )
    op.create_table(
        "terms",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("expires_on >= starts_on", name=op.f("terms_ends_after_start_check")),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name=op.f("terms_subscription_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("terms_pkey")),
        comment="versions of terms; the last recorded one of the term with the latest start is the expiry",
    )
    op.create_index(
        "terms_as_known_idx",
        "terms",
        ["subscription_id", sa.literal_column("starts_on DESC"), sa.literal_column("recorded_at DESC")],
        unique=True,
        postgresql_include=["expires_on"],
    )
    op.create_table(
        "transitions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("term_id", sa.BigInteger(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("transitions_run_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("transitions_subscription_id_fkey")
        ),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("transitions_term_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("transitions_pkey")),
        sa.UniqueConstraint(
            "subscription_id", "term_id", "rule", name=op.f("transitions_subscription_id_term_id_rule_key")
        ),
    )


def downgrade() -> None:
    for table in ():
        op.drop_table(table)
