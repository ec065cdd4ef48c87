"""Erasures that are done, and their certificates.

Safety case. That an erasure is done is said once, in the transaction that stores its certificate, and never of what is
not: all who were shown have been decided on, whoever counts as erased has no name any more, and the ledger has each
portion, so that no backup brings anybody back.
"""

from collections import Counter
from datetime import datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from lifecycle.persistence.card_documents import DocumentLost
from lifecycle.persistence.erasure import NothingChanged
from lifecycle.rules.erasure import CandidateState, Certificate, Criteria, ErasureState, Kept


class NotDone(Exception):
    """There is something left to do of an erasure, or it was never approved."""


_STANDING = text("""
SELECT count(*) FILTER (WHERE candidate.state = 'shown') AS undecided,
    count(*) FILTER (WHERE candidate.state IN ('erased', 'left out')) AS decided,
    count(*) FILTER (WHERE candidate.state = 'erased' AND erased_on IS NULL) AS unchanged,
    (SELECT count(*) FROM erasure_portions WHERE erasure_id = :erasure AND ledger_page IS NULL) AS unledgered
FROM erasure_candidates AS candidate JOIN customers ON customers.id = customer_id
WHERE erasure_id = :erasure""")


def finish(db: Connection, erasure: UUID, now: datetime) -> bool:
    """Say that an approved erasure is done. False: it was said before, and nothing is changed.

    Raises NotDone, and NothingChanged where nobody was erased or left out, or who was is as before.
    """
    asked = {"erasure": erasure, "now": now}
    state = db.execute(text("SELECT state FROM erasures WHERE id = :erasure FOR UPDATE"), asked).scalar_one()
    if state == ErasureState.DONE:
        return False
    if state != ErasureState.APPROVED:
        raise NotDone(f"erasure {erasure} is {state}")
    standing = db.execute(_STANDING, asked).one()
    if standing.undecided or standing.unledgered:
        raise NotDone(
            f"erasure {erasure}: {standing.undecided} customers are still to be erased, "
            f"{standing.unledgered} portions are not in the ledger"
        )
    if standing.unchanged or not standing.decided:
        raise NothingChanged(f"erasure {erasure}: {standing.unchanged or 'all'} who were to be erased are as before")
    db.execute(text("UPDATE erasures SET state = 'done', finished_at = :now WHERE id = :erasure"), asked)
    return True


_OUTCOME = text("""
SELECT state, reason, count(*) AS number FROM erasure_candidates
WHERE erasure_id = :erasure GROUP BY state, reason ORDER BY reason""")


def read(db: Connection, erasure: UUID, zone: ZoneInfo) -> Certificate:
    """What the certificate of an erasure says that is done. `zone` is the business time zone."""
    asked = {"erasure": erasure}
    row = db.execute(
        text("""
        SELECT *, (SELECT count(*) FROM erasure_portions WHERE erasure_id = erasures.id) AS portions
        FROM erasures WHERE id = :erasure AND state = 'done'"""),
        asked,
    ).one()
    outcome = db.execute(_OUTCOME, asked).all()
    of_state = Counter[str]()
    for state, _, number in outcome:
        of_state[state] += number
    return Certificate(
        erasure=row.id,
        criteria=Criteria(row.business_date, row.since, row.period),
        segment=row.segment,
        shown_at=row.shown_at.astimezone(zone),
        digest=row.digest,
        inactive=sum(row.inactive.values()),
        kept=row.inactive.get("kept", 0),
        kept_by=tuple((reason, row.kept[reason]) for reason in Kept if reason in row.kept),
        shown=of_state.total(),
        taken_out=of_state[CandidateState.TAKEN_OUT],
        left_out=tuple((reason, number) for state, reason, number in outcome if state == CandidateState.LEFT_OUT),
        erased=of_state[CandidateState.ERASED],
        portions=row.portions,
        approved_by=row.approved_by,
        approved_at=row.approved_at.astimezone(zone),
        finished_at=row.finished_at.astimezone(zone),
    )


def store(db: Connection, erasure: UUID, pdf: bytes) -> None:
    db.execute(text("UPDATE erasures SET certificate = :pdf WHERE id = :erasure"), {"erasure": erasure, "pdf": pdf})


def document(db: Connection, erasure: UUID) -> bytes:
    """The PDF as it was stored. Raises DocumentLost."""
    found: bytes | None = db.execute(
        text("SELECT certificate FROM erasures WHERE id = :erasure"), {"erasure": erasure}
    ).scalar_one()
    if found is None:
        raise DocumentLost(f"erasure {erasure}: the certificate is not there as it was stored")
    return found


class Approver(NamedTuple):
    """The operator who approved an erasure."""

    id: int
    name: str
    email: str


def approver(db: Connection, erasure: UUID) -> Approver:
    return Approver(
        *db.execute(
            text("""
            SELECT operators.id, name, email FROM erasures JOIN operators ON code = approved_by
            WHERE erasures.id = :erasure"""),
            {"erasure": erasure},
        ).one()
    )
