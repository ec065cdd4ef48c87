"""All tables. Facts (associations, terms, transitions) are only ever added, each with the moment it was recorded.

Every column says whether it can hold personal data: it is made by `personal` or by `neutral`, and a test fails for any
other. Codes, ids and dates of business are neutral: without the personal columns they name nobody.
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

from lifecycle.rules.outbox import Channel, State
from lifecycle.rules.plans import PlanState
from lifecycle.rules.reseller_report import Section
from lifecycle.rules.subscriptions import ChargeMethod, CustomerKind, Policy, Status

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


def personal(name: str, type_: Any, *args: Any, **options: Any) -> Column[Any]:
    """A column that can name, reach or describe a person."""
    return Column(name, type_, *args, info={"personal": True}, **options)


def neutral(name: str, type_: Any, *args: Any, **options: Any) -> Column[Any]:
    """A column that by itself says nothing about a person. Required unless said otherwise."""
    return Column(name, type_, *args, info={"personal": False}, **{"nullable": False} | options)


def _id() -> Column[Any]:
    return neutral("id", BigInteger, Identity(), primary_key=True)


def _recorded_at() -> Column[Any]:
    return neutral("recorded_at", Instant, server_default=func.now())


def _reference(name: str, target: str, **options: Any) -> Column[Any]:
    return neutral(name, BigInteger, ForeignKey(f"{target}.id"), **options)


def _one_of(column: str, choices: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


resellers = Table(
    "resellers",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    personal("name", Text, nullable=False),
    personal("email", Text),
    personal("phone", Text),
    neutral("locale", Text, nullable=True, comment="null: the installation's default"),
    _recorded_at(),
)

customers = Table(
    "customers",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    neutral("kind", Text),
    personal("name", Text, nullable=False),
    personal("email", Text),
    personal("phone", Text),
    personal("tax_id", Text),
    personal("street", Text),
    personal("city", Text),
    personal("postcode", Text),
    neutral("country", Text, nullable=True),
    neutral("locale", Text, nullable=True, comment="null: the installation's default"),
    neutral("created_on", Date, nullable=True, comment="the day the business took the customer on, where it is known"),
    personal("notes", Text),
    _reference(
        "imported_reseller_id",
        "resellers",
        nullable=True,
        comment="the reseller that the last import of customers named",
    ),
    _recorded_at(),
    _one_of("kind", CustomerKind),
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

subscriptions = Table(
    "subscriptions",
    metadata,
    _id(),
    neutral("code", Text, unique=True),
    _reference("customer_id", "customers", index=True),
    _reference("product_id", "products"),
    neutral("anchor", Date, comment="the first term's starts_on: terms follow one another from here"),
    personal("reference", Text, comment="what it is known by, a domain say"),
    neutral("quantity", Integer),
    neutral("unit_price", Money, nullable=True, comment="null: the product's price"),
    neutral("auto_renew", Boolean),
    neutral("charge_method", Text),
    _recorded_at(),
    _one_of("charge_method", ChargeMethod),
    CheckConstraint("quantity > 0", name="quantity"),
)

terms = Table(
    "terms",
    metadata,
    _id(),
    _reference("subscription_id", "subscriptions"),
    neutral("starts_on", Date),
    neutral("expires_on", Date),
    _recorded_at(),
    CheckConstraint("expires_on >= starts_on", name="ends_after_start"),
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
    Index("runs_flow_business_date_idx", "flow", "business_date"),
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
    personal("recipient", Text, nullable=False, comment="empty for calls"),
    personal("recipient_name", Text, nullable=False, comment="empty for calls"),
    _reference("reseller_id", "resellers", nullable=True),
    _reference("customer_id", "customers", nullable=True),
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
    neutral("digest", Text, nullable=True, comment="SHA-256 of the mail as it was last handed over"),
    _one_of("state", State),
    _one_of("channel", Channel),
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
)

message_bodies = Table(
    "message_bodies",
    metadata,
    neutral("message_id", BigInteger, ForeignKey("messages.id"), primary_key=True),
    personal("subject", Text, nullable=False),
    personal("text", Text, nullable=False),
    personal("html", Text, nullable=False),
    neutral("attachment_name", Text, nullable=True),
    neutral("attachment_type", Text, nullable=True),
    personal("attachment", LargeBinary),
    comment="only until the message is sent",
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
    personal("reply", Text, comment="what the server said; it may repeat an address"),
)

subscription_status = Table(
    "subscription_status",
    metadata,
    neutral("subscription_id", BigInteger, ForeignKey("subscriptions.id"), primary_key=True, autoincrement=False),
    neutral("status", Text, server_default="active", comment="of the last transition; without one, active"),
    neutral("expires_on", Date, comment="the expiry as it is known now"),
    neutral("due_on", Date, nullable=True, comment="first day on which a sweep must look; null: not before a renewal"),
    _one_of("status", Status),
    Index("subscription_status_due_on_idx", "due_on", postgresql_where=text("due_on IS NOT NULL")),
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
