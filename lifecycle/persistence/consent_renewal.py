"""Consents that lapse soon, the question to their customers, and of what it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.persistence.contact import gate, said
from lifecycle.rules.consent_renewal import KIND, Outcome, left
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.languages import Locale
from lifecycle.rules.outbox import Channel, Obsolete, State


class Due(NamedTuple):
    """A consent that lapses soon and was not asked about: codes, days, and whether it allows bulk mail."""

    customer_id: int
    customer: str
    consent_type: str
    granted_on: date
    last_day: date
    allows_bulk: bool


_KEY = f"'{KIND}/' || customers.code || '/' || consent_type || '/' || to_char(granted_on, 'YYYY-MM-DD')"

_DUE = text(f"""
SELECT customers.id, customers.code, consent_type, granted_on, last_day, allows_bulk
FROM (
    SELECT DISTINCT customer_id, code AS consent_type, granted_on, granted_on + valid_days - 1 AS last_day, allows_bulk
    FROM consents JOIN consent_types ON consent_types.id = consent_type_id
    WHERE valid_days > :days
        AND granted_on + valid_days > :day AND granted_on + valid_days <= cast(:day AS date) + :days
) AS lapsing
JOIN customers ON customers.id = customer_id AND erased_on IS NULL
WHERE NOT EXISTS (SELECT FROM messages WHERE key = {_KEY})
ORDER BY customers.code COLLATE "C", consent_type COLLATE "C", granted_on
""")


def due(db: Connection, day: date, days: int) -> list[Due]:
    """What lapses within `days` of `day`, and was granted for longer than that. Not all of it need be valid."""
    return [Due(*row) for row in db.execute(_DUE, {"day": day, "days": days})]


# Of two runs that meet at one consent, the second waits for the first, and finds it asked about.
_ASK = text(f"""
WITH asked AS MATERIALIZED (
    SELECT about.*, {_KEY} AS key, email, name, basis, consent_id, CASE
        WHEN missing IS NOT NULL THEN missing
        WHEN about.channel = '{ContactChannel.CONTACT}' THEN '{Outcome.TELEPHONE}'
        WHEN email IS NULL THEN '{Outcome.NO_ADDRESS}'
        WHEN about.channel = '{ContactChannel.BULK}' THEN '{Outcome.BULK}'
        ELSE '{Outcome.SINGLE}' END AS outcome
    FROM unnest(
        cast(:customers AS bigint[]), cast(:types AS text[]), cast(:granted AS date[]), cast(:channels AS text[])
    ) WITH ORDINALITY AS about (customer_id, consent_type, granted_on, channel, number)
    JOIN customers ON customers.id = customer_id
    CROSS JOIN LATERAL {gate("about.customer_id", "about.channel", "NULL", ":day")} AS allowed
), queued AS (
    INSERT INTO messages (
        key, kind, channel, state, recipient, recipient_name, customer_id, facts, business_date, run_id, basis,
        consent_id)
    SELECT key, '{KIND}', CASE outcome WHEN '{Outcome.BULK}' THEN '{Channel.BULK}' ELSE '{Channel.MAIL}' END,
        '{State.QUEUED}', email, name, customer_id,
        jsonb_build_object('consent_type', consent_type, 'granted_on', granted_on), :day, :run_id, basis, consent_id
    FROM asked WHERE outcome IN ('{Outcome.BULK}', '{Outcome.SINGLE}') ORDER BY number
    ON CONFLICT (key) DO NOTHING
    RETURNING key
)
SELECT CASE WHEN outcome IN ('{Outcome.BULK}', '{Outcome.SINGLE}') AND queued.key IS NULL
    THEN '{Outcome.BEFORE}' ELSE outcome END
FROM asked LEFT JOIN queued USING (key) ORDER BY number
""")


def ask(db: Connection, questions: Sequence[tuple[Due, ContactChannel]], day: date, run_id: UUID) -> list[str]:
    """Queue the question about each of these consents over its channel, where the gate lets it pass.

    Returns what became of each: an Outcome, or what is missing in the gate's words.
    """
    asked = {
        "customers": [due.customer_id for due, _ in questions],
        "types": [due.consent_type for due, _ in questions],
        "granted": [due.granted_on for due, _ in questions],
        "channels": [channel.value for _, channel in questions],
        "day": day,
        "run_id": run_id,
    }
    return list(db.execute(_ASK, asked).scalars())


@dataclass(frozen=True, slots=True)
class Question:
    """What the mail says. `consent` is the title of the type; `bulk`: it leaves as one of many."""

    customer_name: str
    locale: Locale
    consent: str
    last_day: date
    bulk: bool


_QUESTION = text("""
SELECT customers.id, customers.code, customers.name, coalesce(locale, :default_locale) AS locale, title,
    facts ->> 'consent_type' AS consent_type, (facts ->> 'granted_on')::date AS granted_on, valid_days, asked_on,
    messages.channel
FROM messages
JOIN customers ON customers.id = customer_id
JOIN consent_types ON consent_types.code = facts ->> 'consent_type'
WHERE messages.id = :message
""")


def question(db: Connection, message: int, default_locale: Locale) -> Question:
    """What the queued question says, on the day on which it is sent. Raises Obsolete where it is none any more."""
    row = db.execute(_QUESTION, {"message": message, "default_locale": default_locale}).one()
    customer = said(db, [row.id], row.asked_on)[row.id]
    if why := left(customer, customer.consent(row.consent_type, row.granted_on), row.asked_on):
        raise Obsolete(f"{row.code}'s {row.consent_type} of {row.granted_on} {why}")
    last_day = row.granted_on + timedelta(days=row.valid_days - 1)
    return Question(row.name, row.locale, row.title, last_day, row.channel == Channel.BULK)
