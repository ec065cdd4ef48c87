"""Consents, objections, motives, switches, mailings and the contact log; every message to a customer has a basis.

Why: nobody is contacted without a basis, and the basis of every contact can be proved. What was sent until now was sent
    in performance of the contract, and is logged so.
Locks: ACCESS EXCLUSIVE on messages and customers until it ends; every mail to a customer is rewritten once, and each
    that was sent is logged (about a minute per million): stop the workers.
Undo: drops all of it, and mailings that were queued or sent: export consents and the log first, they are the proof.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

_APPEND_ONLY = ("consents", "objections", "switches", "contacts")
_CHANNELS = "messages_channel_check"


def upgrade() -> None:
    op.create_table(
        "consent_types",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("valid_days", sa.Integer(), nullable=True, comment="null: no end"),
        sa.Column("allows_bulk", sa.Boolean(), nullable=False),
        sa.Column("allows_single", sa.Boolean(), nullable=False),
        sa.Column("allows_contact", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("valid_days > 0", name=op.f("consent_types_valid_days_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("consent_types_pkey")),
        sa.UniqueConstraint("code", name=op.f("consent_types_code_key")),
    )
    op.create_table(
        "motives",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "duty",
            sa.Boolean(),
            nullable=False,
            comment="the law or a contract asks for it: stronger than an objection",
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("motives_pkey")),
    )
    op.create_table(
        "mailings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of its texts"),
        sa.Column(
            "texts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="as they were when it was begun: everybody gets the same",
        ),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("mailings_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("mailings_pkey")),
        sa.UniqueConstraint("name", name=op.f("mailings_name_key")),
    )
    op.create_table(
        "switches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column(
            "asks", sa.Boolean(), nullable=False, comment="whether a consent, or where it may be a motive, is asked for"
        ),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False, comment="from when on"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel IN ('bulk', 'single', 'contact')", name=op.f("switches_channel_check")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("switches_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("switches_pkey")),
        comment="every change, only ever added; of a channel's the last day's last one counts, and without one it asks",
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("consent_type_id", sa.BigInteger(), nullable=False),
        sa.Column("granted_on", sa.Date(), nullable=False),
        sa.Column("withdrawn_on", sa.Date(), nullable=True, comment="the first day on which it does not hold"),
        sa.Column(
            "evidence", sa.Text(), nullable=True, comment="how it was given or withdrawn, and under which wording"
        ),
        sa.Column("operator", sa.Text(), nullable=True, comment="who recorded it; null: the customer or an import"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["consent_type_id"], ["consent_types.id"], name=op.f("consents_consent_type_id_fkey")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("consents_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("consents_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("consents_pkey")),
        sa.UniqueConstraint(
            "customer_id",
            "consent_type_id",
            "granted_on",
            "recorded_at",
            name=op.f("consents_customer_id_consent_type_id_granted_on_recorded_at_key"),
        ),
        sa.UniqueConstraint("id", "customer_id", name=op.f("consents_id_customer_id_key")),
        comment="versions of consents, only ever added; of one consent, the last recorded version counts",
    )
    op.create_table(
        "objections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("objected_on", sa.Date(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True, comment="who recorded it; null: the customer or an import"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel IN ('bulk', 'single', 'contact')", name=op.f("objections_channel_check")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("objections_customer_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("objections_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("objections_pkey")),
        sa.UniqueConstraint(
            "customer_id", "channel", "objected_on", name=op.f("objections_customer_id_channel_objected_on_key")
        ),
        comment="only ever added",
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="the message's, or that of the permission to telephone"),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.BigInteger(), nullable=True),
        sa.Column("motive", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True, comment="null: a rule"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day on which the basis held"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(basis = 'consent') = (consent_id IS NOT NULL) AND (basis IN ('duty', 'motive')) = (motive IS NOT NULL)",
            name=op.f("contacts_basis_named_check"),
        ),
        sa.CheckConstraint("basis IN ('duty', 'consent', 'motive', 'unasked')", name=op.f("contacts_basis_check")),
        sa.CheckConstraint("channel IN ('bulk', 'single', 'contact')", name=op.f("contacts_channel_check")),
        sa.ForeignKeyConstraint(
            ["consent_id", "customer_id"],
            ["consents.id", "consents.customer_id"],
            name=op.f("contacts_consent_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("contacts_customer_id_fkey")),
        sa.ForeignKeyConstraint(["motive"], ["motives.code"], name=op.f("contacts_motive_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("contacts_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("contacts_pkey")),
        sa.UniqueConstraint("key", name=op.f("contacts_key_key")),
        comment="every contact made, only ever added: what it rested on at its moment",
    )
    op.create_index(
        "contacts_business_date_idx",
        "contacts",
        ["business_date"],
        unique=False,
        postgresql_where=sa.text("operator IS NOT NULL"),
    )
    op.create_index(op.f("contacts_customer_id_idx"), "contacts", ["customer_id"], unique=False)
    op.add_column(
        "customers", sa.Column("erased_on", sa.Date(), nullable=True, comment="from then on nothing is sent to it")
    )
    op.add_column("messages", sa.Column("motive", sa.Text(), nullable=True, comment="why it is sent without a consent"))
    op.add_column(
        "messages", sa.Column("operator", sa.Text(), nullable=True, comment="who wants it sent; null: a rule")
    )
    op.add_column(
        "messages",
        sa.Column("basis", sa.Text(), nullable=True, comment="on which its customer may be contacted, when last asked"),
    )
    op.add_column(
        "messages", sa.Column("consent_id", sa.BigInteger(), nullable=True, comment="where that is a consent")
    )
    op.add_column(
        "messages",
        sa.Column(
            "asked_on", sa.Date(), nullable=True, comment="the day for which it was asked when it was last begun"
        ),
    )
    op.create_foreign_key(
        op.f("messages_consent_id_fkey"),
        "messages",
        "consents",
        ["consent_id", "customer_id"],
        ["id", "customer_id"],
    )
    op.create_foreign_key(op.f("messages_motive_fkey"), "messages", "motives", ["motive"], ["code"])
    op.execute("INSERT INTO motives (code, title, duty) VALUES ('contract', 'Performance of the contract', true)")
    op.execute(
        """
        UPDATE messages SET motive = 'contract', basis = 'duty',
            asked_on = CASE WHEN state IN ('sending', 'in_doubt', 'sent') THEN business_date END
        WHERE channel = 'mail' AND customer_id IS NOT NULL
        """
    )
    op.execute(
        """
        INSERT INTO contacts (key, customer_id, channel, basis, motive, business_date, run_id, recorded_at)
        SELECT key, customer_id, 'single', basis, motive, business_date, run_id, sent_at
        FROM messages WHERE channel = 'mail' AND customer_id IS NOT NULL AND state = 'sent'
        """
    )
    op.drop_constraint(op.f(_CHANNELS), "messages", type_="check")
    op.create_check_constraint(op.f(_CHANNELS), "messages", "channel IN ('mail', 'bulk', 'call')")
    op.create_check_constraint(
        op.f("messages_basis_check"), "messages", "basis IN ('duty', 'consent', 'motive', 'unasked')"
    )
    op.create_check_constraint(
        op.f("messages_basis_found_check"),
        "messages",
        "channel = 'call' OR customer_id IS NULL OR basis IS NOT NULL OR state IN ('withheld', 'cancelled')",
    )
    op.create_check_constraint(
        op.f("messages_addressee_known_check"),
        "messages",
        "channel = 'call' OR customer_id IS NOT NULL OR (channel = 'mail' AND reseller_id IS NOT NULL)",
    )
    op.create_check_constraint(
        op.f("messages_basis_named_check"),
        "messages",
        "coalesce(basis = 'consent', false) = (consent_id IS NOT NULL) "
        "AND (basis IN ('duty', 'motive') AND channel <> 'bulk' AND motive IS NOT NULL "
        "OR coalesce(basis, 'consent') IN ('consent', 'unasked'))",
    )
    op.create_check_constraint(
        op.f("messages_asked_check"),
        "messages",
        "channel = 'call' OR customer_id IS NULL OR asked_on IS NOT NULL "
        "OR state NOT IN ('sending', 'in_doubt', 'sent')",
    )
    # What proves something is only ever added. Erasure may blank what names a person, and nothing else.
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF to_jsonb(NEW) - 'evidence' = to_jsonb(OLD) - 'evidence' AND to_jsonb(NEW) ->> 'evidence' IS NULL THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("message_attempts", "message_bodies"):
        op.execute(f"DELETE FROM {table} USING messages WHERE messages.id = message_id AND channel = 'bulk'")
    op.execute("DELETE FROM messages WHERE channel = 'bulk'")
    for check in ("asked", "basis_named", "addressee_known", "basis_found", "basis", "channel"):
        op.drop_constraint(op.f(f"messages_{check}_check"), "messages", type_="check")
    op.create_check_constraint(op.f(_CHANNELS), "messages", "channel IN ('mail', 'call')")
    op.drop_constraint(op.f("messages_motive_fkey"), "messages", type_="foreignkey")
    op.drop_constraint(op.f("messages_consent_id_fkey"), "messages", type_="foreignkey")
    op.drop_column("messages", "asked_on")
    op.drop_column("messages", "consent_id")
    op.drop_column("messages", "basis")
    op.drop_column("messages", "operator")
    op.drop_column("messages", "motive")
    op.drop_column("customers", "erased_on")
    op.drop_index(op.f("contacts_customer_id_idx"), table_name="contacts")
    op.drop_index("contacts_business_date_idx", table_name="contacts", postgresql_where=sa.text("operator IS NOT NULL"))
    op.drop_table("contacts")
    op.drop_table("objections")
    op.drop_table("consents")
    op.drop_table("switches")
    op.drop_table("mailings")
    op.drop_table("motives")
    op.drop_table("consent_types")
    op.execute("DROP FUNCTION refuse_change()")
