"""Mailings: their texts as they were begun with, whom they go to, and what each recipient's mail is made of.

Customers are gone through in ranges of ids; each is found, asked at the gate and queued by one statement, which needs
no more memory for a million of them than for a thousand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from lifecycle.persistence.associations import looked_after
from lifecycle.persistence.contact import gate
from lifecycle.persistence.segment import conditions
from lifecycle.rules.languages import Locale
from lifecycle.rules.mailing import KIND, Outcome
from lifecycle.rules.outbox import Channel, State
from lifecycle.rules.segment import Segment


class Begun(NamedTuple):
    """With which texts a mailing was begun, and on which business date."""

    digest: str
    day: date


def begun(db: Connection, name: str) -> Begun | None:
    """None: it was not begun."""
    row = db.execute(
        text("SELECT digest, business_date FROM mailings JOIN runs ON runs.id = run_id WHERE name = :name"),
        {"name": name},
    ).one_or_none()
    return Begun(*row) if row else None


def begin(db: Connection, name: str, digest: str, texts: Mapping[str, Any], run_id: UUID) -> None:
    """Keep the texts, unless some are kept under this name."""
    db.execute(
        text("""
        INSERT INTO mailings (name, digest, texts, run_id) VALUES (:name, :digest, :texts, :run_id)
        ON CONFLICT (name) DO NOTHING""").bindparams(bindparam("texts", type_=JSONB)),
        {"name": name, "digest": digest, "texts": texts, "run_id": run_id},
    )


def texts(db: Connection, digest: str) -> dict[str, Any]:
    """The texts that a mailing was begun with."""
    found: dict[str, Any] = db.execute(
        text("SELECT texts FROM mailings WHERE digest = :digest LIMIT 1"), {"digest": digest}
    ).scalar_one()
    return found


def first_sent(db: Connection, name: str) -> int | None:
    """The first message of a mailing that was sent; None: none was."""
    found: int | None = db.execute(
        text("""
        SELECT min(id) FROM messages WHERE channel = 'bulk' AND state = 'sent' AND facts ->> 'mailing' = :name"""),
        {"name": name},
    ).scalar()
    return found


# The range of ids is said twice: the planner does not conclude the one from the other, and would read all customers.
# The message is looked up for each, and not joined: of what a run queued a moment ago the planner knows nothing.
_ID = "chosen.id AND asked.id BETWEEN :first AND :last"
_ASKED = f"""
WITH chosen AS MATERIALIZED (
    SELECT customer.id, code, name, email, coalesce(locale, :default_locale) AS locale,
        'mailing/' || :mailing || '/' || code AS key
    FROM customers AS customer
    WHERE customer.id BETWEEN :first AND :last AND {{segment}}
), asked AS MATERIALIZED (
    SELECT chosen.*, basis, consent_id, coalesce(
        (SELECT replace(state, '_', ' ') || ' before' FROM messages WHERE messages.key = chosen.key),
        missing, CASE WHEN email IS NULL THEN '{Outcome.NO_ADDRESS}' ELSE '{Outcome.QUEUED}' END) AS outcome
    FROM chosen CROSS JOIN LATERAL {gate(_ID, f"'{Channel.BULK}'", "NULL", ":day")} AS allowed
)"""

_FORESEE = f"""{_ASKED}
SELECT code, locale, outcome FROM asked ORDER BY id"""

# Of two runs that meet at one customer, the second waits for the first, and finds it queued.
_QUEUE = f"""{_ASKED}, queued AS (
    INSERT INTO messages (
        key, kind, channel, state, recipient, recipient_name, customer_id, facts, business_date, run_id, basis,
        consent_id)
    SELECT key, '{KIND}', '{Channel.BULK}', '{State.QUEUED}', email, name, id,
        jsonb_build_object('mailing', cast(:mailing AS text)), :day, :run_id, basis, consent_id
    FROM asked WHERE outcome = '{Outcome.QUEUED}' ORDER BY id
    ON CONFLICT (key) DO NOTHING
    RETURNING customer_id
)
SELECT code, locale, CASE WHEN outcome = '{Outcome.QUEUED}' AND id NOT IN (SELECT customer_id FROM queued)
    THEN 'queued before' ELSE outcome END AS outcome
FROM asked ORDER BY id"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Whom a run of a mailing looks at, on which day; `end_of_day` is the first moment after it."""

    mailing: str
    segment: Segment
    day: date
    end_of_day: datetime
    default_locale: Locale
    run_id: UUID


class Looked(NamedTuple):
    """One customer of the segment, and what becomes of it."""

    customer: str
    locale: Locale
    outcome: str


def queue(db: Connection, selection: Selection, first: int, last: int) -> list[Looked]:
    """Queue the mailing's mails to the customers with ids in this range. Returns all of the segment, by id."""
    return _looked(db, _QUEUE, selection, {"first": first, "last": last, "run_id": selection.run_id})


def foresee(db: Connection, selection: Selection, first: int, last: int) -> list[Looked]:
    """What `queue` would do and return."""
    return _looked(db, _FORESEE, selection, {"first": first, "last": last})


def _looked(db: Connection, statement: str, selection: Selection, about: dict[str, Any]) -> list[Looked]:
    asked = about | {"mailing": selection.mailing, "day": selection.day, "default_locale": selection.default_locale}
    condition, given = conditions(selection.segment, selection.day, selection.end_of_day, selection.default_locale)
    # A plan that was made while the outbox was empty would be kept while it fills.
    db.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    rows = db.execute(text(statement.format(segment=condition)), asked | given)
    return [Looked(*row) for row in rows]


def ranges(db: Connection, size: int) -> list[tuple[int, int]]:
    """First and last id of ranges that hold `size` customers each, the last one fewer; all of them together."""
    rows = db.execute(
        text("""
        SELECT min(id), max(id) FROM (
            SELECT id, (row_number() OVER (ORDER BY id) - 1) / :size AS portion FROM customers
        ) AS numbered GROUP BY portion ORDER BY portion"""),
        {"size": size},
    )
    return [(first, last) for first, last in rows]


class Recipient(NamedTuple):
    """To whom a queued mail goes, as it is when it was begun. `day`: on which that is; `digest`: of the texts."""

    digest: str
    day: date
    name: str
    locale: Locale
    reseller_name: str
    reseller_email: str
    reseller_phone: str
    agreed: bool


_RECIPIENT = text(f"""
SELECT mailings.digest, asked_on, customer.name, coalesce(customer.locale, :default_locale),
    coalesce(reseller.name, ''), coalesce(reseller.email, ''), coalesce(reseller.phone, ''),
    basis = 'consent'
FROM messages
JOIN mailings ON mailings.name = facts ->> 'mailing'
JOIN customers AS customer ON customer.id = customer_id {looked_after("customer.id", "asked_on")}
WHERE messages.id = :message""")


def recipient(db: Connection, message: int, default_locale: Locale) -> Recipient:
    """To whom a mail goes that is being sent."""
    return Recipient(*db.execute(_RECIPIENT, {"message": message, "default_locale": default_locale}).one())
