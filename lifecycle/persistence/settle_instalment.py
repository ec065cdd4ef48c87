"""Instalments, one at a time: how one stands, and what a person says became of it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.persistence import subscription_status
from lifecycle.rules.instalments import InstalmentStatus, Settlement
from lifecycle.rules.settle_instalment import Standing

_STANDING = text("""
SELECT instalments.id, due_on, instalments.status, withdrawn_on, (
    SELECT outcome FROM settlements WHERE instalment_id = instalments.id ORDER BY id DESC LIMIT 1) AS last
FROM instalments
LEFT JOIN withdrawn_memberships USING (subscription_id)
LEFT JOIN withdrawals ON withdrawals.id = withdrawal_id
WHERE instalments.id = :instalment
""")

_SETTLE = text("""
WITH settled AS (
    UPDATE instalments SET status = :status WHERE id = :instalment RETURNING id, collection_id
)
INSERT INTO settlements (instalment_id, outcome, collection_id, operator, business_date, run_id, recorded_at)
SELECT id, :outcome, collection_id, :operator, :day, :run_id, :now FROM settled
""")


def subscription(db: Connection, code: str) -> int | None:
    return db.execute(text("SELECT id FROM subscriptions WHERE code = :code"), {"code": code}).scalar()


def locked(db: Connection, subscription: int, due_on: date) -> Standing | None:
    """What is due on that day; None: nothing. Until the transaction ends nobody charges it or withdraws from it."""
    subscription_status.lock(db, [subscription])
    asked = text("SELECT id FROM instalments WHERE subscription_id = :of AND due_on = :due_on FOR UPDATE")
    instalment = db.execute(asked, {"of": subscription, "due_on": due_on}).scalar()
    # A statement that waits for a lock sees other rows as they were before it waited: so the look is one of its own.
    row = db.execute(_STANDING, {"instalment": instalment}).one_or_none()
    if row is None:
        return None
    last = Settlement(row.last) if row.last else None
    return Standing(row.id, row.due_on, InstalmentStatus(row.status), row.withdrawn_on, last)


def settle(
    db: Connection,
    instalment: int,
    status: InstalmentStatus,
    outcome: Settlement,
    operator: str,
    day: date,
    run_id: UUID,
    now: datetime,
) -> None:
    """Record it, with the file in which the instalment had been: it is not known otherwise once there is another."""
    asked = {"instalment": instalment, "status": status, "outcome": outcome, "operator": operator}
    db.execute(_SETTLE, asked | {"day": day, "run_id": run_id, "now": now})
