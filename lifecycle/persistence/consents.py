"""Recording what customers allow and what they object to, and which switches are on. Rows are only ever added.

Whoever records locks the customer first, as `lifecycle.persistence.contact.at_the_gate` does: recordings take turns.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.persistence import turns
from lifecycle.rules.consents import Grant
from lifecycle.rules.contact import ContactChannel

_HISTORY = text("""
SELECT granted_on, withdrawn_on, evidence FROM consents
WHERE customer_id = :customer AND consent_type_id = :consent_type ORDER BY recorded_at, id""")

# Whoever waited for the customer's lock is later than what it waited for, though it asked for the time before.
_CONSENT = text("""
INSERT INTO consents (
    customer_id, consent_type_id, granted_on, withdrawn_on, evidence, operator, run_id, recorded_at)
SELECT :customer, :consent_type, :granted_on, CAST(:withdrawn_on AS date), CAST(:evidence AS text),
    CAST(:operator AS text), CAST(:run AS uuid), greatest(:now, max(recorded_at) + interval '1 microsecond')
FROM consents WHERE customer_id = :customer AND consent_type_id = :consent_type AND granted_on = :granted_on""")

_OBJECTION = text("""
INSERT INTO objections (customer_id, channel, objected_on, evidence, operator, run_id, recorded_at)
VALUES (:customer, :channel, :objected_on, :evidence, :operator, :run, :now) ON CONFLICT DO NOTHING""")

_SWITCH = text("""
INSERT INTO switches (channel, asks, operator, business_date, run_id, recorded_at)
VALUES (:channel, :asks, :operator, :day, :run, :now)""")


def consent_type(db: Connection, code: str) -> int | None:
    """The id behind a consent type's code; None: there is none."""
    return db.execute(text("SELECT id FROM consent_types WHERE code = :code"), {"code": code}).scalar()


def history(db: Connection, customer: int, consent_type: int) -> list[Grant]:
    """All versions of the customer's consents of the type, in the order in which they were recorded."""
    return [Grant(*row) for row in db.execute(_HISTORY, {"customer": customer, "consent_type": consent_type})]


def record(
    db: Connection,
    customer: int,
    consent_type: int,
    versions: Sequence[Grant],
    operator: str | None,
    run_id: UUID | None,
    now: datetime,
) -> None:
    """Add versions of the customer's consents of the type, each later than those known of the same consent."""
    for version in versions:
        db.execute(
            _CONSENT,
            {
                "customer": customer,
                "consent_type": consent_type,
                "granted_on": version.granted_on,
                "withdrawn_on": version.withdrawn_on,
                "evidence": version.evidence,
                "operator": operator,
                "run": run_id,
                "now": now,
            },
        )


def object_to(
    db: Connection,
    customer: int,
    channel: ContactChannel,
    objected_on: date,
    evidence: str | None,
    operator: str | None,
    run_id: UUID | None,
    now: datetime,
) -> bool:
    """Add the customer's objection. Returns whether it is new: there is one for a channel and day."""
    said = {"customer": customer, "channel": channel, "objected_on": objected_on}
    by = {"evidence": evidence, "operator": operator, "run": run_id, "now": now}
    return db.execute(_OBJECTION, said | by).rowcount > 0


def take_turns(db: Connection) -> None:
    """Wait for others that change switches, until they have ended."""
    db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": turns.SWITCHES})


def switch(
    db: Connection, channel: ContactChannel, asks: bool, operator: str, day: date, run_id: UUID, now: datetime
) -> None:
    """Add a change of the channel's switch, which holds from `day` on."""
    db.execute(_SWITCH, {"channel": channel, "asks": asks, "operator": operator, "day": day, "run": run_id, "now": now})
