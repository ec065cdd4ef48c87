"""Terms that are added by hand."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from lifecycle.rules.subscriptions import Status


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription with its present expiry and status; `erased`: its customer is.

    `withdrawn_on`: its last day of validity, where somebody withdrew from it.
    """

    id: int
    expires_on: date
    status: Status
    erased: bool
    withdrawn_on: date | None


def held(db: Connection, subscription: str) -> Held | None:
    """The subscription of that code, locked against sweeps, renewals and erasure; None: nobody holds such a one."""
    row = db.execute(
        text("""
        SELECT subscription_id, expires_on, status, erased_on IS NOT NULL AS erased
        FROM subscriptions
        JOIN subscription_status AS standing ON subscription_id = subscriptions.id
        JOIN customers ON customers.id = customer_id
        WHERE subscriptions.code = :code FOR UPDATE OF standing FOR KEY SHARE OF customers"""),
        {"code": subscription},
    ).one_or_none()
    if row is None:
        return None
    # Only now: whoever withdrew from it while it was waited for is seen.
    withdrawn_on = db.execute(
        text("""
        SELECT withdrawn_on FROM withdrawn_memberships JOIN withdrawals ON withdrawals.id = withdrawal_id
        WHERE subscription_id = :id"""),
        {"id": row.subscription_id},
    ).scalar_one_or_none()
    return Held(row.subscription_id, row.expires_on, Status(row.status), row.erased, withdrawn_on)


def add_term(db: Connection, subscription: int, starts_on: date, expires_on: date, now: datetime) -> None:
    db.execute(
        text("""
        INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
        VALUES (:subscription, :starts_on, :expires_on, :now)"""),
        {"subscription": subscription, "starts_on": starts_on, "expires_on": expires_on, "now": now},
    )
