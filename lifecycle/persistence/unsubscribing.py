"""What customers answer to mailings: no more of them.

A request withdraws every consent to bulk mail and is an objection besides. The objection holds where nothing asks for
consents, and where the same consents are imported once more from a file that does not know of their end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks in answer to the message with this id. `evidence` says how, and is another for every request."""

    message_id: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one request added; nothing where an earlier one had said the same, or its customer was erased."""

    consents: int
    objections: int

    @property
    def anything(self) -> bool:
        return self.consents + self.objections > 0


# Whoever records about a customer waits here for others who do. Rows that only refer to customers are not held up:
# a mailing that is being queued would wait for us, and we for it.
_LOCK = text("""
SELECT FROM customers
WHERE id IN (SELECT customer_id FROM messages WHERE id = ANY(:messages) AND channel = 'bulk')
ORDER BY id FOR NO KEY UPDATE""")

_RECORD = text("""
WITH asked AS (
    SELECT place, request.evidence, customer_id
    FROM unnest(CAST(:messages AS bigint[]), CAST(:evidence AS text[])) WITH ORDINALITY
        AS request (message_id, evidence, place)
    JOIN messages ON messages.id = message_id AND channel = 'bulk'
), news AS (
    SELECT DISTINCT ON (customer_id) asked.*
    FROM asked JOIN customers ON customers.id = customer_id AND erased_on IS NULL
    WHERE NOT EXISTS (
        SELECT FROM objections
        WHERE objections.customer_id = asked.customer_id AND objections.evidence = asked.evidence)
    ORDER BY customer_id, place
), objected AS (
    INSERT INTO objections (customer_id, channel, objected_on, evidence, run_id)
    SELECT customer_id, 'bulk', :day, evidence, :run FROM news
    ON CONFLICT (customer_id, channel, objected_on) DO NOTHING
    RETURNING customer_id
), withdrawn AS (
    INSERT INTO consents (
        customer_id, consent_type_id, granted_on, withdrawn_on, evidence, run_id, recorded_at)
    SELECT news.customer_id, consent_type_id, granted_on, :day, evidence, :run, clock_timestamp()
    FROM news CROSS JOIN LATERAL (
        SELECT DISTINCT ON (consent_type_id, granted_on) consent_type_id, granted_on, withdrawn_on
        FROM consents JOIN consent_types ON consent_types.id = consent_type_id
        WHERE consents.customer_id = news.customer_id AND granted_on <= :day AND allows_bulk
        ORDER BY consent_type_id, granted_on, consents.recorded_at DESC, consents.id DESC
    ) AS last_version
    WHERE coalesce(withdrawn_on > :day, true)
    RETURNING customer_id
)
SELECT place,
    (SELECT count(*) FROM withdrawn WHERE withdrawn.customer_id = news.customer_id) AS consents,
    (SELECT count(*) FROM objected WHERE objected.customer_id = news.customer_id) AS objections
FROM asked LEFT JOIN news USING (place)""")


def unsubscribe(db: Connection, requests: Sequence[Request], day: date, run_id: UUID | None) -> list[Recorded | None]:
    """End bulk mail from `day` on for the customers of these messages; None where a message is no bulk mail of ours.

    A consent granted on a later day is left alone. A request whose evidence is known adds nothing, also on a later day:
    it was recorded, and then read again, and the customer may have consented anew in between.
    """
    asked = {"messages": [request.message_id for request in requests]}
    db.execute(_LOCK, asked)
    told = asked | {"evidence": [request.evidence for request in requests], "day": day, "run": run_id}
    recorded = {row.place: Recorded(row.consents, row.objections) for row in db.execute(_RECORD, told)}
    return [recorded.get(place) for place in range(1, len(requests) + 1)]
