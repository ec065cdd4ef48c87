"""Billing cards, payments and what became of the money.

Why: services are billed by cards whose numbers have no holes, and whose payments renew them; what was not paid is
    suspended and deleted.
Locks: subscription_status exclusively, for as long as it takes to add a column, fill it for the services (seconds for a
    million) and build an index on it; readers of other tables go on.
Undo: drops all cards, documents, payments and allocations: export them first. Terms that they renewed stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "card_numbers",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("card_numbers_pkey")),
        comment="the last serial number of each year, taken in the transaction that makes the card: so without holes",
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "bank_reference", sa.Text(), nullable=False, comment="the bank's own: what makes two entries the same"
        ),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column(
            "amount",
            sa.Numeric(precision=14, scale=2),
            nullable=False,
            comment="negative where the bank took money back",
        ),
        sa.Column("reverses_id", sa.BigInteger(), nullable=True, comment="the payment that it takes back"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("remittance", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=True),
        sa.Column("iban", sa.Text(), nullable=True),
        sa.Column("business_date", sa.Date(), nullable=False, comment="of the run that imported it"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("payments_amount_check")),
        sa.ForeignKeyConstraint(["reverses_id"], ["payments.id"], name=op.f("payments_reverses_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("payments_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payments_pkey")),
        sa.UniqueConstraint("bank_reference", name=op.f("payments_bank_reference_key")),
        sa.UniqueConstraint("reverses_id", name=op.f("payments_reverses_id_key")),
    )
    op.create_table(
        "cards",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("trial", sa.Boolean(), nullable=False, comment="made before the go-live: visible, not sent"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="the last one, which alone is payable"),
        sa.Column(
            "total", sa.Numeric(precision=14, scale=2), nullable=False, comment="of the last revision, VAT included"
        ),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False, comment="the first expiry among the lines of the last revision"),
        sa.Column("revised_on", sa.Date(), nullable=False, comment="business date of the last revision"),
        sa.Column(
            "mailed_revision",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="the last one whose mail was queued; 0: none",
        ),
        sa.Column("reminded_for", sa.Date(), nullable=True, comment="the last reminder day that was done"),
        sa.Column("closed_on", sa.Date(), nullable=True, comment="business date on which it was paid or became void"),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('open', 'paid', 'void')", name=op.f("cards_state_check")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("cards_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("cards_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("cards_pkey")),
        sa.UniqueConstraint("number", name=op.f("cards_number_key")),
    )
    op.create_index(op.f("cards_customer_id_idx"), "cards", ["customer_id"], unique=False)
    op.create_index("cards_due_on_idx", "cards", ["due_on"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_index(
        "cards_unmailed_idx",
        "cards",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND (trial OR mailed_revision < revision)"),
    )
    op.create_table(
        "allocations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True, comment="null: moved between credit and a card"),
        sa.Column("customer_id", sa.BigInteger(), nullable=True, comment="null: refunded to someone unknown"),
        sa.Column("card_id", sa.BigInteger(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column(
            "amount", sa.Numeric(precision=14, scale=2), nullable=False, comment="negative: taken away from there"
        ),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False, comment="why"),
        sa.Column("operator", sa.Text(), nullable=True, comment="who decided; null: a rule"),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("purpose IN ('card', 'credit', 'refund')", name=op.f("allocations_purpose_check")),
        sa.CheckConstraint("amount <> 0", name=op.f("allocations_amount_check")),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("allocations_card_id_fkey")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("allocations_customer_id_fkey")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("allocations_payment_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("allocations_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("allocations_pkey")),
        comment="where money went: each row adds to a card, to a customer's credit, or to what was refunded",
    )
    op.create_index(
        "allocations_card_id_idx",
        "allocations",
        ["card_id"],
        unique=False,
        postgresql_where=sa.text("card_id IS NOT NULL"),
    )
    op.create_index(
        "allocations_credit_idx",
        "allocations",
        ["customer_id", "currency"],
        unique=False,
        postgresql_where=sa.text("purpose = 'credit'"),
    )
    op.create_index(
        "allocations_payment_id_idx",
        "allocations",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    op.create_table(
        "card_lines",
        sa.Column("card_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False, comment="of the term that it would be renewed for"),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("vat_rate", sa.Numeric(precision=5, scale=2), nullable=False),
        sa.Column("payable", sa.Boolean(), nullable=False, comment="in the last revision of an open card"),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("card_lines_card_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("card_lines_subscription_id_fkey")
        ),
        sa.PrimaryKeyConstraint("card_id", "revision", "subscription_id", name=op.f("card_lines_pkey")),
        comment="names are looked up when a card is shown, so that none is kept here",
    )
    op.create_index(
        "card_lines_payable_key",
        "card_lines",
        ["subscription_id", "starts_on"],
        unique=True,
        postgresql_where=sa.text("payable"),
    )
    op.create_table(
        "card_revisions",
        sa.Column("card_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("made_on", sa.Date(), nullable=False, comment="business date"),
        sa.Column("total", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("paid", sa.Numeric(precision=14, scale=2), nullable=False, comment="by credit, when it was made"),
        sa.Column("trial", sa.Boolean(), nullable=False),
        sa.Column("shows_vat", sa.Boolean(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="the PDF, as it is mailed"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the document"),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("card_revisions_card_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("card_revisions_run_id_fkey")),
        sa.PrimaryKeyConstraint("card_id", "revision", name=op.f("card_revisions_pkey")),
    )
    op.create_table(
        "card_renewals",
        sa.Column("card_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("term_id", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name=op.f("card_renewals_card_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("card_renewals_run_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("card_renewals_subscription_id_fkey")
        ),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("card_renewals_term_id_fkey")),
        sa.PrimaryKeyConstraint("card_id", "subscription_id", name=op.f("card_renewals_pkey")),
        comment="what a paid card has renewed: each line once, also where its payment is taken back and made again",
    )
    op.create_index(
        "card_renewals_subscription_id_idx", "card_renewals", ["subscription_id", "business_date"], unique=False
    )
    op.add_column(
        "subscription_status",
        sa.Column(
            "to_card", sa.Date(), nullable=True, comment="the expiry that a card must still be made for; null: none"
        ),
    )
    op.create_index(
        "subscription_status_to_card_idx",
        "subscription_status",
        ["to_card"],
        unique=False,
        postgresql_where=sa.text("to_card IS NOT NULL"),
    )
    # A PDF is compressed already.
    op.execute("ALTER TABLE card_revisions ALTER document SET STORAGE EXTERNAL")
    op.execute(
        """
        UPDATE subscription_status SET to_card = expires_on, due_on = expires_on + 1
        FROM subscriptions JOIN products ON products.id = product_id AND policy = 'service'
        WHERE subscriptions.id = subscription_id
        """
    )


def downgrade() -> None:
    op.execute(
        """
        UPDATE subscription_status SET due_on = NULL
        FROM subscriptions JOIN products ON products.id = product_id AND policy = 'service'
        WHERE subscriptions.id = subscription_id
        """
    )
    op.drop_column("subscription_status", "to_card")
    for table in ("card_renewals", "allocations", "payments", "card_lines", "card_revisions", "cards", "card_numbers"):
        op.drop_table(table)
