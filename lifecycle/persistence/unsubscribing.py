"""Who asks, in answer to a mailing, for no more of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks in answer to the message with this id. `evidence` says how, and is another for every request."""

    message_id: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Asking:
    """The customer who asks. `settled`: nothing is to be recorded; the request is known, or the customer erased."""

    customer: int
    settled: bool


# Whoever records about a customer waits here for others who do. Rows that only refer to customers are not held up:
# a mailing that is being queued would wait for us, and we for it.
_LOCK = text("""
SELECT FROM customers
WHERE id IN (SELECT customer_id FROM messages WHERE id = ANY(:messages) AND channel = 'bulk')
ORDER BY id FOR NO KEY UPDATE""")

_ASKING = text("""
SELECT place, customer_id, erased_on IS NOT NULL OR EXISTS (
    SELECT FROM objections
    WHERE objections.customer_id = messages.customer_id AND objections.evidence = request.evidence) AS settled
FROM unnest(CAST(:messages AS bigint[]), CAST(:evidence AS text[])) WITH ORDINALITY
    AS request (message_id, evidence, place)
JOIN messages ON messages.id = message_id AND channel = 'bulk'
JOIN customers ON customers.id = customer_id""")


def asking(db: Connection, requests: Sequence[Request]) -> list[Asking | None]:
    """Who asks, for each request; None where its message is no bulk mail of ours. Locked until the transaction ends."""
    asked = {"messages": [request.message_id for request in requests]}
    db.execute(_LOCK, asked)
    rows = db.execute(_ASKING, asked | {"evidence": [request.evidence for request in requests]})
    found = {row.place: Asking(row.customer_id, row.settled) for row in rows}
    return [found.get(place) for place in range(1, len(requests) + 1)]


def bulk_types(db: Connection) -> list[int]:
    """The ids of the consent types that allow bulk mail."""
    return list(db.execute(text("SELECT id FROM consent_types WHERE allows_bulk ORDER BY id")).scalars())
