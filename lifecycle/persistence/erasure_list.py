"""Erasures as a person at the command line sees them: how each stands, and of one that waits whom it shows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.rules.erasure import ErasureState

_STATE = "CASE WHEN state = 'waiting' AND lapses_at <= now() THEN 'lapsed' ELSE state END AS state"


def listed(db: Connection) -> Sequence[Row[Any]]:
    """All erasures, the last one shown first, with how many were shown and erased."""
    return db.execute(
        text(f"""
        SELECT id, business_date, period, {_STATE}, shown, erased, approved_by, digest
        FROM erasures CROSS JOIN LATERAL (
            SELECT count(*) AS shown, count(*) FILTER (WHERE candidate.state = 'erased') AS erased
            FROM erasure_candidates AS candidate WHERE erasure_id = id
        ) AS candidates
        ORDER BY shown_at DESC, id""")
    ).all()


def find(db: Connection, digest_or_id: str, state: ErasureState) -> Row[Any] | None:
    """The erasure with this id or digest; of those with one digest the one in that state, else the last one shown."""
    return db.execute(
        text(f"""
        SELECT id, business_date, period, since, segment, digest, {_STATE}, lapses_at, approved_by
        FROM erasures WHERE digest = :given OR id::text = lower(:given)
        ORDER BY erasures.state = :state DESC, shown_at DESC LIMIT 1"""),
        {"given": digest_or_id, "state": state},
    ).one_or_none()


def candidates(db: Connection, erasure: UUID) -> Sequence[Row[Any]]:
    """Whom it shows, those inactive for longest first: (code, name, last_appointment_on)."""
    return db.execute(
        text("""
        SELECT code, name, last_appointment_on
        FROM erasure_candidates JOIN customers ON customers.id = customer_id
        WHERE erasure_id = :erasure ORDER BY last_appointment_on NULLS FIRST, customers.id"""),
        {"erasure": erasure},
    ).all()
