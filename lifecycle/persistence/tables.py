"""All tables. Facts (associations, terms, transitions) are only ever added, each with the moment it was recorded.

Every column says whether it can hold personal data, and what becomes of it when its customer is erased: it is made by
`personal` or by `neutral`, and a test fails for any other. Codes, ids and dates of business are neutral: without the
personal columns they name nobody. A table of which something goes says whose its rows are (`_rows_of`). Erasing is
these declarations, executed (`erasure.erase`), and `lifecycle erasure plan` prints them.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from lifecycle.rules.appointments import AppointmentStatus
from lifecycle.rules.billing_card import CardState
from lifecycle.rules.contact import Basis, ContactChannel
from lifecycle.rules.erasure import CandidateState, ErasureState, Fate
from lifecycle.rules.instalments import InstalmentStatus, Settlement
from lifecycle.rules.membership_withdrawal import WithdrawalState
from lifecycle.rules.outbox import Channel, State
from lifecycle.rules.payment import Purpose
from lifecycle.rules.plans import PlanState
from lifecycle.rules.reseller_report import Section
from lifecycle.rules.subscriptions import CHARGED_BY_ITSELF, ChargeMethod, CustomerKind, Policy, Status

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

Instant = DateTime(timezone=True)
Money = Numeric(14, 2)


def personal(name: str, type_: Any, fate: Fate, *args: Any, **options: Any) -> Column[Any]:
    """A column that can name, reach or describe a person, and its fate when a customer is erased."""
    return Column(name, type_, *args, info={"personal": True, "fate": fate}, **options)


def neutral(name: str, type_: Any, *args: Any, fate: Fate = Fate.KEPT, **options: Any) -> Column[Any]:
    """A column that by itself says nothing about a person. Required unless said otherwise."""
    return Column(name, type_, *args, info={"personal": False, "fate": fate}, **{"nullable": False} | options)


def _rows_of(whose: str, customers: str, *, removed: bool = False) -> dict[str, Any]:
    """Whose a table's rows are, in words and as SQL: `erasing` are the customers that are being erased.

    `removed`: their rows go as a whole, whatever the columns say.
    """
    return {"whose": whose, "rows": customers, "removed": removed}


def _id() -> Column[Any]:
    return neutral("id", BigInteger, Identity(), primary_key=True)


def _recorded_at() -> Column[Any]:
    return neutral("recorded_at", Instant, server_default=func.now())


def _reference(name: str, target: str, **options: Any) -> Column[Any]:
    return neutral(name, BigInteger, ForeignKey(f"{target}.id"), **options)


def _ledger_page() -> Column[Any]:
    return neutral(
        "ledger_page", Integer, nullable=True, comment="of the ledger outside of the database; null: not in it yet"
    )


_OF_CUSTOMER = "customer_id IN (SELECT customer_id FROM erasing)"


def _one_of(column: str, choices: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _consent_of_customer() -> ForeignKeyConstraint:
    """What rests on a consent rests on one of its own customer."""
    return ForeignKeyConstraint(["consent_id", "customer_id"], ["consents.id", "consents.customer_id"])


resellers = Table(
    "resellers",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    personal("name", Text, Fate.KEPT, nullable=False),
    personal("email", Text, Fate.KEPT),
    personal("phone", Text, Fate.KEPT),
    neutral("locale", Text, nullable=True, comment="null: the installation's default"),
    _recorded_at(),
    comment="partners, not customers",
)

operators = Table(
    "operators",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    personal("name", Text, Fate.KEPT, nullable=False),
    personal("email", Text, Fate.KEPT, nullable=False),
    neutral("administrator", Boolean, comment="may confirm erasures"),
    _recorded_at(),
    comment="our own people, not customers",
)

enrolments = Table(
    "enrolments",
    metadata,
    neutral("operator_id", BigInteger, ForeignKey("operators.id"), primary_key=True, autoincrement=False),
    neutral("secret", LargeBinary, comment="of its one-time codes (RFC 6238), encrypted by a key that is not in here"),
    neutral("enrolled_at", Instant, server_default=func.now()),
    neutral("last_step", BigInteger, nullable=True, comment="the last time step whose code was used: each goes once"),
    neutral("failures", Integer, server_default="0", comment="wrong codes since the last right one"),
    neutral("locked_until", Instant, nullable=True, comment="until then no code is accepted"),
)

customers = Table(
    "customers",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    neutral("kind", Text),
    personal("name", Text, Fate.REPLACED, nullable=False, comment="empty: erased"),
    personal("email", Text, Fate.BLANKED),
    personal("phone", Text, Fate.BLANKED),
    personal("tax_id", Text, Fate.BLANKED),
    personal("street", Text, Fate.BLANKED),
    personal("city", Text, Fate.BLANKED),
    personal("postcode", Text, Fate.BLANKED),
    neutral("country", Text, nullable=True),
    neutral("locale", Text, nullable=True, comment="null: the installation's default"),
    neutral("created_on", Date, nullable=True, comment="the day the business took the customer on, where it is known"),
    personal("notes", Text, Fate.BLANKED),
    neutral("erased_on", Date, nullable=True, comment="from then on nothing is sent to it"),
    neutral(
        "tombstone",
        Uuid,
        unique=True,
        server_default=func.gen_random_uuid(),
        comment="random: stands for it in the ledger of erasures, which is outside of the database",
    ),
    _reference(
        "imported_reseller_id",
        "resellers",
        nullable=True,
        comment="the reseller that the last import of customers named",
    ),
    _recorded_at(),
    _one_of("kind", CustomerKind),
    # Whatever writes to it: nobody comes back.
    CheckConstraint(
        "(erased_on IS NOT NULL) = (name = '') AND (erased_on IS NULL OR num_nonnulls("
        "email, phone, tax_id, street, city, postcode, notes) = 0)",
        name="erased_is_nameless",
    ),
    info=_rows_of("the customer itself", "id IN (SELECT customer_id FROM erasing)"),
)

associations = Table(
    "associations",
    metadata,
    _id(),
    _reference("customer_id", "customers"),
    _reference("reseller_id", "resellers"),
    neutral("from_on", Date),
    neutral("until_on", Date, nullable=True, comment="last day; before from_on: it never came into force"),
    _recorded_at(),
    UniqueConstraint("customer_id", "reseller_id", "from_on", "recorded_at"),
    comment="versions of periods; the last recorded one of the period with the latest start counts",
)
Index(
    "associations_as_known_idx",
    associations.c.customer_id,
    associations.c.from_on.desc(),
    associations.c.recorded_at.desc(),
    associations.c.id.desc(),
    postgresql_include=["reseller_id", "until_on"],
)

products = Table(
    "products",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    neutral("name", Text),
    neutral("policy", Text),
    neutral("period_months", Integer),
    neutral("price", Money),
    neutral("currency", Text),
    neutral("vat_rate", Numeric(5, 2)),
    _recorded_at(),
    _one_of("policy", Policy),
    CheckConstraint("period_months > 0", name="period_months"),
)

mandates = Table(
    "mandates",
    metadata,
    _id(),
    neutral("code", Text, unique=True, comment="of a mandate, the reference that its bank knows it by"),
    _reference("customer_id", "customers", index=True),
    neutral("kind", Text),
    personal("holder", Text, Fate.BLANKED, comment="of the account; null: the customer"),
    personal("iban", Text, Fate.BLANKED, comment="only of a mandate for SEPA direct debit"),
    personal("bic", Text, Fate.BLANKED),
    personal("token", Text, Fate.BLANKED, comment="what the payment provider knows a card by"),
    neutral("signed_on", Date, nullable=True),
    neutral("ended_on", Date, nullable=True, comment="business date from which nothing is charged by it any more"),
    _recorded_at(),
    _one_of("kind", CHARGED_BY_ITSELF),
    UniqueConstraint("id", "customer_id"),
    comment="mandates for SEPA direct debit, and cards; several contracts of a customer may share one",
    info=_rows_of("mandates and cards that the customer gave", _OF_CUSTOMER),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    _reference("customer_id", "customers", index=True),
    _reference("product_id", "products"),
    neutral("anchor", Date, comment="the first term's starts_on: terms follow one another from here"),
    personal("reference", Text, Fate.BLANKED, comment="what it is known by, a domain say"),
    neutral("quantity", Integer),
    neutral("unit_price", Money, nullable=True, comment="null: the product's price"),
    neutral("auto_renew", Boolean),
    neutral("charge_method", Text),
    neutral("mandate_id", BigInteger, nullable=True, comment="the mandate or card by which it is charged"),
    _recorded_at(),
    _one_of("charge_method", ChargeMethod),
    CheckConstraint("quantity > 0", name="quantity"),
    ForeignKeyConstraint(["mandate_id", "customer_id"], ["mandates.id", "mandates.customer_id"]),
    Index("subscriptions_mandate_id_idx", "mandate_id", postgresql_where=text("mandate_id IS NOT NULL")),
    info=_rows_of("what the customer has subscribed to", _OF_CUSTOMER),
)

terms = Table(
    "terms",
    metadata,
    _id(),
    _reference("subscription_id", "subscriptions"),
    neutral("starts_on", Date),
    neutral("expires_on", Date, comment="before starts_on: withdrawn from, it never came into force"),
    _recorded_at(),
    comment="versions of terms; the last recorded one of the term with the latest start is the expiry",
)
Index(
    "terms_as_known_idx",
    terms.c.subscription_id,
    terms.c.starts_on.desc(),
    terms.c.recorded_at.desc(),
    unique=True,
    postgresql_include=["expires_on"],
)

runs = Table(
    "runs",
    metadata,
    neutral("id", Uuid, primary_key=True),
    neutral("flow", Text),
    neutral("business_date", Date),
    neutral("dry_run", Boolean),
    neutral("started_at", Instant, server_default=func.now()),
    neutral("finished_at", Instant, nullable=True),
    neutral("outcome", Text, server_default="running"),
    neutral("counts", JSONB, server_default=text("'{}'")),
    neutral("prefect_flow_run_id", Uuid, nullable=True),
    # A run for some resellers or customers has not seen to its period.
    neutral("whole", Boolean, server_default="true"),
    Index("runs_flow_business_date_idx", "flow", "business_date"),
    Index("runs_flow_started_at_idx", "flow", "started_at"),
    Index("runs_unfinished_idx", "started_at", postgresql_where=text("outcome = 'running'")),
)

transitions = Table(
    "transitions",
    metadata,
    _id(),
    _reference("subscription_id", "subscriptions"),
    _reference("term_id", "terms"),
    neutral("to_status", Text),
    neutral("rule", Text),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    UniqueConstraint("subscription_id", "term_id", "rule"),
)

reseller_reports = Table(
    "reseller_reports",
    metadata,
    _id(),
    _reference("reseller_id", "resellers"),
    neutral("month", Date, comment="its first day, the day as of which the report is"),
    neutral("known_at", Instant, comment="facts recorded later do not count"),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    neutral("made_at", Instant, server_default=func.now()),
    UniqueConstraint("month", "reseller_id"),
)

reseller_report_lines = Table(
    "reseller_report_lines",
    metadata,
    neutral("report_id", BigInteger, ForeignKey("reseller_reports.id"), primary_key=True),
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True),
    neutral("section", Text),
    neutral("expires_on", Date),
    neutral("access_ends_on", Date, comment="first day without access"),
    _one_of("section", Section),
    comment="names are looked up when a report is shown, so that none is kept here",
)

messages = Table(
    "messages",
    metadata,
    _id(),
    neutral("key", Text, unique=True, comment="natural key: kind, whom it concerns, what for"),
    neutral("kind", Text),
    neutral("channel", Text, server_default=Channel.MAIL),
    neutral("state", Text),
    personal("recipient", Text, Fate.REPLACED, nullable=False, comment="empty for calls, and of who is erased"),
    personal("recipient_name", Text, Fate.REPLACED, nullable=False, comment="empty for calls, and of who is erased"),
    _reference("reseller_id", "resellers", nullable=True),
    _reference("customer_id", "customers", nullable=True),
    _reference("to_operator_id", "operators", nullable=True),
    _reference("subscription_id", "subscriptions", nullable=True),
    neutral("facts", JSONB, nullable=True, comment="codes and dates of which a message without a body is written"),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    neutral("created_at", Instant, server_default=func.now(), comment="the mail's Date"),
    neutral("due_at", Instant, server_default=func.now(), comment="not tried before"),
    neutral("failures", Integer, server_default="0"),
    neutral("claimed_by", Text, nullable=True),
    neutral("lease_until", Instant, nullable=True),
    neutral("sent_at", Instant, nullable=True),
    neutral(
        "digest",
        Text,
        fate=Fate.BLANKED,
        nullable=True,
        comment="SHA-256 of the mail as it was last handed over: of texts with a name",
    ),
    neutral("motive", Text, ForeignKey("motives.code"), nullable=True, comment="why it is sent without a consent"),
    neutral("operator", Text, nullable=True, comment="who wants it sent; null: a rule"),
    neutral("basis", Text, nullable=True, comment="on which its customer may be contacted, when last asked"),
    neutral("consent_id", BigInteger, nullable=True, comment="where that is a consent"),
    neutral("asked_on", Date, nullable=True, comment="the day for which it was asked when it was last begun"),
    _one_of("state", State),
    _one_of("channel", Channel),
    _one_of("basis", Basis),
    # Nothing is queued or begun for a customer without a basis, and no mail goes to an address that is nobody's.
    CheckConstraint(
        "channel = 'call' OR customer_id IS NULL OR basis IS NOT NULL OR state IN ('withheld', 'cancelled')",
        name="basis_found",
    ),
    CheckConstraint(
        "channel = 'call' OR customer_id IS NOT NULL "
        "OR (channel = 'mail' AND num_nonnulls(reseller_id, to_operator_id) > 0)",
        name="addressee_known",
    ),
    CheckConstraint(
        "coalesce(basis = 'consent', false) = (consent_id IS NOT NULL) "
        "AND (basis IN ('duty', 'motive') AND channel <> 'bulk' AND motive IS NOT NULL "
        "OR coalesce(basis, 'consent') IN ('consent', 'unasked'))",
        name="basis_named",
    ),
    CheckConstraint(
        "channel = 'call' OR customer_id IS NULL OR asked_on IS NOT NULL "
        "OR state NOT IN ('sending', 'in_doubt', 'sent')",
        name="asked",
    ),
    _consent_of_customer(),
    Index("messages_due_idx", "channel", "due_at", "id", postgresql_where=text("state = 'queued'")),
    Index(
        "messages_unsettled_idx",
        "state",
        "lease_until",
        postgresql_where=text("state IN ('sending', 'in_doubt', 'failed')"),
    ),
    Index("messages_subscription_id_idx", "subscription_id", postgresql_where=text("subscription_id IS NOT NULL")),
    Index("messages_reseller_id_idx", "reseller_id", postgresql_where=text("reseller_id IS NOT NULL")),
    Index("messages_customer_id_idx", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
    info=_rows_of("mails to the customer and calls about its subscriptions", _OF_CUSTOMER),
)

message_bodies = Table(
    "message_bodies",
    metadata,
    neutral("message_id", BigInteger, ForeignKey("messages.id"), primary_key=True, fate=Fate.REMOVED),
    personal("subject", Text, Fate.REMOVED, nullable=False),
    personal("text", Text, Fate.REMOVED, nullable=False),
    personal("html", Text, Fate.REMOVED, nullable=False),
    neutral("attachment_name", Text, nullable=True, fate=Fate.REMOVED),
    neutral("attachment_type", Text, nullable=True, fate=Fate.REMOVED),
    personal("attachment", LargeBinary, Fate.REMOVED),
    comment="only until the message is sent",
    info=_rows_of(
        "what is still to be sent to the customer, which is cancelled",
        "message_id IN (SELECT id FROM messages JOIN erasing USING (customer_id))",
        removed=True,
    ),
)

message_attempts = Table(
    "message_attempts",
    metadata,
    _id(),
    _reference("message_id", "messages", index=True),
    neutral("worker", Text),
    neutral("carrier", Text, comment="the server or folder it was handed to: evidence of it is only there"),
    neutral("started_at", Instant, server_default=func.now()),
    neutral("finished_at", Instant, nullable=True),
    neutral("outcome", Text, nullable=True, comment="null: nobody saw how it ended"),
    personal("reply", Text, Fate.BLANKED, comment="what the server said; it may repeat an address"),
    info=_rows_of(
        "tries to send mails to the customer",
        "message_id IN (SELECT id FROM messages JOIN erasing USING (customer_id))",
    ),
)

subscription_status = Table(
    "subscription_status",
    metadata,
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True, autoincrement=False),
    neutral("status", Text, server_default="active", comment="of the last transition; without one, active"),
    neutral("expires_on", Date, comment="the expiry as it is known now"),
    neutral("due_on", Date, nullable=True, comment="first day on which a sweep must look; null: not before a renewal"),
    neutral("to_card", Date, nullable=True, comment="the expiry that a card must still be made for; null: none"),
    _one_of("status", Status),
    Index("subscription_status_due_on_idx", "due_on", postgresql_where=text("due_on IS NOT NULL")),
    Index("subscription_status_to_card_idx", "to_card", postgresql_where=text("to_card IS NOT NULL")),
    Index("subscription_status_expires_on_idx", "expires_on"),
    comment="what the facts add up to now, so that a sweep finds its work by index",
)

plans = Table(
    "plans",
    metadata,
    _id(),
    _recorded_at(),
    neutral("flow", Text),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    neutral("digest", Text),
    neutral("state", Text),
    _one_of("state", PlanState),
    Index("plans_digest_idx", "digest"),
)

plan_steps = Table(
    "plan_steps",
    metadata,
    neutral("plan_id", BigInteger, ForeignKey("plans.id"), primary_key=True),
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True),
    neutral("step", Text, primary_key=True),
    neutral("expires_on", Date, comment="the lapse it is about: a renewal since makes the step void"),
)

card_numbers = Table(
    "card_numbers",
    metadata,
    neutral("year", Integer, primary_key=True, autoincrement=False),
    neutral("last", Integer),
    comment="the last serial number of each year, taken in the transaction that makes the card: so without holes",
)

cards = Table(
    "cards",
    metadata,
    _id(),
    neutral("number", Text, unique=True),
    _reference("customer_id", "customers", index=True),
    neutral("currency", Text),
    neutral("state", Text),
    neutral("trial", Boolean, comment="made before the go-live: visible, not sent"),
    neutral("revision", Integer, comment="the last one, which alone is payable"),
    neutral("total", Money, comment="of the last revision, VAT included"),
    neutral("issued_on", Date),
    neutral("due_on", Date, comment="the first expiry among the lines of the last revision"),
    neutral("revised_on", Date, comment="business date of the last revision"),
    neutral("mailed_revision", Integer, server_default="0", comment="the last one whose mail was queued; 0: none"),
    neutral("reminded_for", Date, nullable=True, comment="the last reminder day that was done"),
    neutral("closed_on", Date, nullable=True, comment="business date on which it was paid or became void"),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    _recorded_at(),
    _one_of("state", CardState),
    Index("cards_due_on_idx", "due_on", postgresql_where=text("state = 'open'")),
    Index(
        "cards_unmailed_idx", "id", postgresql_where=text("state = 'open' AND (trial OR mailed_revision < revision)")
    ),
)

card_revisions = Table(
    "card_revisions",
    metadata,
    neutral("card_id", BigInteger, ForeignKey("cards.id"), primary_key=True),
    neutral("revision", Integer, primary_key=True),
    neutral("made_on", Date, comment="business date"),
    neutral("total", Money),
    neutral("paid", Money, comment="by credit, when it was made"),
    neutral("trial", Boolean),
    neutral("shows_vat", Boolean),
    personal("document", LargeBinary, Fate.BLANKED, comment="the PDF, as it is mailed; null: its customer is erased"),
    neutral("digest", Text, nullable=True, fate=Fate.BLANKED, comment="SHA-256 of the document"),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    _recorded_at(),
    info=_rows_of("the customer's billing cards", "card_id IN (SELECT id FROM cards JOIN erasing USING (customer_id))"),
)

card_lines = Table(
    "card_lines",
    metadata,
    neutral("card_id", BigInteger, ForeignKey("cards.id"), primary_key=True),
    neutral("revision", Integer, primary_key=True),
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True),
    neutral("expires_on", Date),
    neutral("starts_on", Date, comment="of the term that it would be renewed for"),
    neutral("ends_on", Date),
    neutral("quantity", Integer),
    neutral("unit_price", Money),
    neutral("vat_rate", Numeric(5, 2)),
    neutral("payable", Boolean, comment="in the last revision of an open card"),
    # Never two open cards for one service and period, whatever runs beside each other.
    Index("card_lines_payable_key", "subscription_id", "starts_on", unique=True, postgresql_where=text("payable")),
    comment="names are looked up when a card is shown, so that none is kept here",
)

card_renewals = Table(
    "card_renewals",
    metadata,
    neutral("card_id", BigInteger, ForeignKey("cards.id"), primary_key=True),
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True),
    _reference("term_id", "terms"),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    Index("card_renewals_subscription_id_idx", "subscription_id", "business_date"),
    comment="what a paid card has renewed: each line once, also where its payment is taken back and made again",
)

payments = Table(
    "payments",
    metadata,
    _id(),
    neutral("bank_reference", Text, unique=True, comment="the bank's own: what makes two entries the same"),
    neutral("received_on", Date),
    neutral("amount", Money, comment="negative where the bank took money back"),
    _reference("reverses_id", "payments", nullable=True, unique=True, comment="the payment that it takes back"),
    neutral("currency", Text),
    personal("remittance", Text, Fate.REPLACED, nullable=False),
    personal("payer", Text, Fate.BLANKED),
    personal("iban", Text, Fate.BLANKED),
    neutral("business_date", Date, comment="of the run that imported it"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    CheckConstraint("amount <> 0", name="amount"),
    comment="of one that also paid for another customer, the texts go with the first that is erased",
    info=_rows_of(
        "what the customer paid, alone or with others, and what the bank took back of it",
        """id IN (
            SELECT payment_id FROM allocations JOIN erasing USING (customer_id)
            UNION ALL
            SELECT reversal.id FROM erasing
            JOIN allocations USING (customer_id) JOIN payments AS reversal ON reverses_id = payment_id)""",
    ),
)

allocations = Table(
    "allocations",
    metadata,
    _id(),
    _reference("payment_id", "payments", nullable=True, comment="null: moved between credit and a card"),
    _reference("customer_id", "customers", nullable=True, comment="null: refunded to someone unknown"),
    _reference("card_id", "cards", nullable=True),
    neutral("purpose", Text),
    neutral("amount", Money, comment="negative: taken away from there"),
    neutral("currency", Text),
    neutral("rule", Text, comment="why"),
    neutral("operator", Text, nullable=True, comment="who decided; null: a rule"),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("purpose", Purpose),
    CheckConstraint("amount <> 0", name="amount"),
    Index("allocations_payment_id_idx", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
    Index("allocations_customer_id_idx", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
    Index("allocations_card_id_idx", "card_id", postgresql_where=text("card_id IS NOT NULL")),
    Index("allocations_credit_idx", "customer_id", "currency", postgresql_where=text("purpose = 'credit'")),
    comment="where money went: each row adds to a card, to a customer's credit, or to what was refunded",
)

consent_types = Table(
    "consent_types",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    neutral("title", Text),
    neutral("description", Text, nullable=True),
    neutral("valid_days", Integer, nullable=True, comment="null: no end"),
    neutral("allows_bulk", Boolean),
    neutral("allows_single", Boolean),
    neutral("allows_contact", Boolean),
    _recorded_at(),
    CheckConstraint("valid_days > 0", name="valid_days"),
)

consents = Table(
    "consents",
    metadata,
    _id(),
    _reference("customer_id", "customers"),
    _reference("consent_type_id", "consent_types"),
    neutral("granted_on", Date),
    neutral("withdrawn_on", Date, nullable=True, comment="the first day on which it does not hold"),
    personal("evidence", Text, Fate.BLANKED, comment="how it was given or withdrawn, and under which wording"),
    neutral("operator", Text, nullable=True, comment="who recorded it; null: the customer or an import"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    UniqueConstraint("customer_id", "consent_type_id", "granted_on", "recorded_at"),
    UniqueConstraint("id", "customer_id"),
    comment="versions of consents, only ever added; of one consent, the last recorded version counts",
    info=_rows_of("consents that the customer gave", _OF_CUSTOMER),
)

objections = Table(
    "objections",
    metadata,
    _id(),
    _reference("customer_id", "customers"),
    neutral("channel", Text),
    neutral("objected_on", Date),
    personal("evidence", Text, Fate.BLANKED),
    neutral("operator", Text, nullable=True, comment="who recorded it; null: the customer or an import"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("channel", ContactChannel),
    UniqueConstraint("customer_id", "channel", "objected_on"),
    comment="only ever added",
    info=_rows_of("objections that the customer made", _OF_CUSTOMER),
)

motives = Table(
    "motives",
    metadata,
    neutral("code", Text, primary_key=True),
    neutral("title", Text),
    neutral("duty", Boolean, comment="the law or a contract asks for it: stronger than an objection"),
    _recorded_at(),
)

switches = Table(
    "switches",
    metadata,
    _id(),
    neutral("channel", Text),
    neutral("asks", Boolean, comment="whether a consent, or where it may be a motive, is asked for"),
    neutral("operator", Text),
    neutral("business_date", Date, comment="from when on"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("channel", ContactChannel),
    comment="every change, only ever added; of a channel's the last day's last one counts, and without one it asks",
)

contacts = Table(
    "contacts",
    metadata,
    _id(),
    neutral("key", Text, unique=True, comment="the message's, or that of the permission to telephone"),
    _reference("customer_id", "customers", index=True),
    neutral("channel", Text),
    neutral("basis", Text),
    neutral("consent_id", BigInteger, nullable=True),
    neutral("motive", Text, ForeignKey("motives.code"), nullable=True),
    neutral("operator", Text, nullable=True, comment="null: a rule"),
    neutral("business_date", Date, comment="the day on which the basis held"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("channel", ContactChannel),
    _one_of("basis", Basis),
    CheckConstraint(
        "(basis = 'consent') = (consent_id IS NOT NULL) AND (basis IN ('duty', 'motive')) = (motive IS NOT NULL)",
        name="basis_named",
    ),
    _consent_of_customer(),
    Index("contacts_business_date_idx", "business_date", postgresql_where=text("operator IS NOT NULL")),
    comment="every contact made, only ever added: what it rested on at its moment",
)

mailings = Table(
    "mailings",
    metadata,
    _id(),
    neutral("name", Text, unique=True),
    neutral("digest", Text, comment="SHA-256 of its texts"),
    neutral("texts", JSONB, comment="as they were when it was begun: everybody gets the same"),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    _recorded_at(),
)

collections = Table(
    "collections",
    metadata,
    _id(),
    neutral("message_id", Text, unique=True, comment="what the bank or payment provider knows it by"),
    neutral("kind", Text),
    neutral("business_date", Date),
    neutral("collect_on", Date, comment="the day on which the money is asked for"),
    neutral("currency", Text),
    neutral("total", Money),
    neutral("number", Integer, comment="of instalments"),
    personal("document", LargeBinary, Fate.BLANKED, comment="the file; null: somebody in it is erased"),
    neutral("digest", Text, nullable=True, fate=Fate.BLANKED, comment="SHA-256 of the document"),
    neutral("filed_at", Instant, nullable=True, comment="when it was put among the documents; null: not yet"),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    _recorded_at(),
    _one_of("kind", CHARGED_BY_ITSELF),
    Index("collections_unfiled_idx", "id", postgresql_where=text("filed_at IS NULL")),
    comment="files of instalments, for the bank (SEPA direct debit) or the payment provider (cards)",
    info=_rows_of(
        "files by which the customer was charged, with others",
        """id IN (
            SELECT submitted.collection_id FROM erasing
            JOIN subscriptions USING (customer_id)
            JOIN instalments ON subscription_id = subscriptions.id
            LEFT JOIN settlements ON instalment_id = instalments.id
            CROSS JOIN LATERAL (VALUES (instalments.collection_id), (settlements.collection_id))
                AS submitted (collection_id))""",
    ),
)

instalments = Table(
    "instalments",
    metadata,
    _id(),
    _reference("subscription_id", "subscriptions"),
    neutral("due_on", Date),
    neutral("amount", Money, comment="VAT included"),
    neutral("currency", Text),
    neutral("status", Text),
    _reference("collection_id", "collections", nullable=True, comment="the file with which it was submitted last"),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("status", InstalmentStatus),
    CheckConstraint("amount > 0", name="amount"),
    UniqueConstraint("subscription_id", "due_on"),
    Index("instalments_due_on_idx", "due_on", postgresql_where=text("status = 'due'")),
    Index("instalments_collection_id_idx", "collection_id", postgresql_where=text("collection_id IS NOT NULL")),
    comment="what is owed under memberships, once a day; after a withdrawal nothing of it is charged any more",
)

settlements = Table(
    "settlements",
    metadata,
    _id(),
    _reference("instalment_id", "instalments", index=True),
    neutral("outcome", Text),
    _reference("collection_id", "collections", nullable=True, comment="the file with which it had been submitted"),
    neutral("operator", Text),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    _one_of("outcome", Settlement),
    comment="what a person said became of an instalment, only ever added",
)

action_types = Table(
    "action_types",
    metadata,
    neutral("code", Text, primary_key=True),
    neutral("title", Text),
    neutral("base_type", Text, comment="what it means to the program: 'withdrawal' ends memberships"),
    neutral("in_agenda", Boolean, comment="whether one can be assigned to a consultant, and stands in that agenda"),
    _recorded_at(),
)

crm_actions = Table(
    "crm_actions",
    metadata,
    _id(),
    _reference("customer_id", "customers", index=True),
    neutral("action_type", Text, ForeignKey("action_types.code")),
    neutral("operator", Text),
    neutral("assigned_to", Text, nullable=True, comment="the operator in whose agenda it stands"),
    personal("note", Text, Fate.BLANKED),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    Index("crm_actions_assigned_to_idx", "assigned_to", postgresql_where=text("assigned_to IS NOT NULL")),
    comment="the CRM history, only ever added",
    info=_rows_of("the customer's CRM history", _OF_CUSTOMER),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    neutral("id", Uuid, primary_key=True),
    _reference("customer_id", "customers", index=True),
    neutral("withdrawn_on", Date, comment="the last day of validity"),
    neutral("action_type", Text, ForeignKey("action_types.code")),
    neutral("operator", Text),
    neutral("state", Text),
    personal("note", Text, Fate.BLANKED, comment="as it was typed, while it waits; then it is in the CRM history"),
    neutral("prefect_flow_run_id", Uuid, nullable=True, comment="the run that waits, or waited, for a person"),
    neutral("requested_at", Instant, comment="when it was entered"),
    neutral("done_at", Instant, nullable=True),
    _reference("crm_action_id", "crm_actions", nullable=True),
    neutral("business_date", Date),
    neutral("run_id", Uuid, ForeignKey("runs.id")),
    _one_of("state", WithdrawalState),
    CheckConstraint(
        "(state = 'done') = (done_at IS NOT NULL) AND (state = 'done') = (crm_action_id IS NOT NULL)", name="done"
    ),
    UniqueConstraint("prefect_flow_run_id"),
    Index("withdrawals_withdrawn_on_idx", "withdrawn_on", postgresql_where=text("state = 'done'")),
    info=_rows_of("withdrawals of the customer", _OF_CUSTOMER),
)

withdrawn_memberships = Table(
    "withdrawn_memberships",
    metadata,
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True, autoincrement=False),
    neutral("withdrawal_id", Uuid, ForeignKey("withdrawals.id"), index=True),
    neutral("former_expires_on", Date, comment="its expiry before"),
    neutral("currency", Text),
    neutral("owed", Money, comment="what was due on or before the last day, and not paid nor submitted"),
    neutral("removed", Money, comment="what was due later"),
    neutral("to_be_refunded", Money, comment="what was due later, and submitted or paid"),
    comment="what a withdrawal that is done ended: each membership once, for ever. None of it is charged any more",
)

appointments = Table(
    "appointments",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    _reference("customer_id", "customers"),
    neutral("starts_at", Instant),
    neutral("status", Text),
    personal("title", Text, Fate.BLANKED),
    _recorded_at(),
    _one_of("status", AppointmentStatus),
    Index("appointments_customer_id_starts_at_idx", "customer_id", "starts_at"),
    Index("appointments_starts_at_idx", "starts_at"),
    info=_rows_of("the customer's appointments", _OF_CUSTOMER),
)

holds = Table(
    "holds",
    metadata,
    _id(),
    _reference("customer_id", "customers", index=True),
    personal("reason", Text, Fate.REPLACED, nullable=False),
    neutral("until_on", Date, comment="last day on which its customer is not erased"),
    neutral("operator", Text),
    neutral("run_id", Uuid, ForeignKey("runs.id"), nullable=True),
    _recorded_at(),
    comment="only ever added; of a customer's with the same reason the last recorded one counts",
    info=_rows_of("holds placed on the customer, which have ended", _OF_CUSTOMER),
)

erasures = Table(
    "erasures",
    metadata,
    neutral("id", Uuid, primary_key=True),
    neutral("run_id", Uuid, ForeignKey("runs.id"), comment="the run that showed it"),
    neutral("business_date", Date),
    neutral("period", Text, comment="of inactivity, as it was asked for"),
    neutral("since", Date, comment="the first day of the period"),
    neutral("segment", Text, comment="as it is typed; empty: all customers"),
    neutral("digest", Text, comment="of the criteria and of whom it showed: what an approval is bound to"),
    neutral("state", Text),
    neutral("inactive", JSONB, comment="how many were found in all: to be erased, and kept"),
    neutral("kept", JSONB, comment="how many were kept, by reason; for several, with each"),
    neutral("shown_at", Instant, server_default=func.now()),
    neutral("lapses_at", Instant, comment="not approved by then, it is void"),
    neutral("prefect_flow_run_id", Uuid, nullable=True, comment="the run that waits for an administrator"),
    neutral("preview", Boolean, comment="names may be among that run's artifacts: they are removed when it ends"),
    neutral("answers", Integer, server_default="0", comment="how many were not accepted"),
    neutral("approved_by", Text, nullable=True, comment="the operator's code"),
    neutral("approved_at", Instant, nullable=True),
    neutral("finished_at", Instant, nullable=True),
    neutral("certificate", LargeBinary, nullable=True, comment="a PDF that names nobody"),
    _ledger_page(),
    _one_of("state", ErasureState),
    CheckConstraint(
        "(state IN ('approved', 'done')) = (approved_by IS NOT NULL) AND (approved_by IS NULL) = (approved_at IS NULL)",
        name="approved",
    ),
    Index("erasures_open_idx", "state", postgresql_where=text("state IN ('waiting', 'approved')")),
)

erasure_portions = Table(
    "erasure_portions",
    metadata,
    neutral("id", Uuid, primary_key=True),
    neutral("erasure_id", Uuid, ForeignKey("erasures.id"), index=True),
    neutral("erased_on", Date),
    neutral("customers", Integer),
    _ledger_page(),
    _recorded_at(),
    comment="the customers erased in one transaction",
)

erasure_candidates = Table(
    "erasure_candidates",
    metadata,
    neutral("erasure_id", Uuid, ForeignKey("erasures.id"), primary_key=True),
    neutral("customer_id", BigInteger, ForeignKey("customers.id"), primary_key=True),
    neutral("last_appointment_on", Date, nullable=True),
    neutral("state", Text, server_default=CandidateState.SHOWN),
    neutral("reason", Text, nullable=True, comment="why it was left out"),
    neutral("portion_id", Uuid, ForeignKey("erasure_portions.id"), nullable=True, comment="with which it was erased"),
    _one_of("state", CandidateState),
    CheckConstraint("(state = 'erased') = (portion_id IS NOT NULL)", name="erased"),
    Index("erasure_candidates_portion_id_idx", "portion_id", postgresql_where=text("portion_id IS NOT NULL")),
    comment="whom an administrator was shown, and what became of each",
)

installation = Table(
    "installation",
    metadata,
    neutral("id", Integer, primary_key=True, autoincrement=False),
    neutral("environment", Text, comment="LIFECYCLE_ENVIRONMENT when it was first used"),
    neutral("database", Text, comment="its name then: a copy under another name sends and erases nothing"),
    _recorded_at(),
    CheckConstraint("id = 1", name="one_row"),
)

# A record of a run can be removed where none of these names it: each of them is asked for it.
for _table in metadata.sorted_tables:
    if "run_id" in _table.c:
        Index(
            f"{_table.name}_run_id_idx",
            _table.c.run_id,
            postgresql_where=text("run_id IS NOT NULL") if _table.c.run_id.nullable else None,
        )
