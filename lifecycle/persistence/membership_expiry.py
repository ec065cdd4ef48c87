"""Memberships that are due, and what a sweep did about them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.persistence.subscription_status import GIVEN, Learned, Locked, refresh
from lifecycle.rules.membership_expiry import Membership, Step, Terms, missing_terms
from lifecycle.rules.provisioning import Calls
from lifecycle.rules.subscriptions import Status

_MEMBERSHIPS = """
SELECT standing.subscription_id, subscription.code, product.code AS product, standing.expires_on, status, anchor,
    (SELECT max(starts_on) FROM terms WHERE terms.subscription_id = standing.subscription_id) AS last_start,
    auto_renew, period_months, quantity, coalesce(unit_price, price) AS unit_price, vat_rate, product.currency,
    withdrawn_on, erased_on IS NOT NULL AS erased, due_on
FROM subscription_status AS standing
JOIN subscriptions AS subscription ON subscription.id = standing.subscription_id
JOIN products AS product ON product.id = product_id AND policy = 'membership'
JOIN customers AS customer ON customer.id = subscription.customer_id
LEFT JOIN withdrawn_memberships AS withdrawn ON withdrawn.subscription_id = standing.subscription_id
LEFT JOIN withdrawals ON withdrawals.id = withdrawal_id
"""

# Not all that expires soon: half of the base is renewed within a fortnight, on its day.
_DUE = text(f"""{_MEMBERSHIPS}
WHERE standing.subscription_id IN (
    SELECT subscription_id FROM subscription_status WHERE due_on <= :day
    UNION
    SELECT subscription_id FROM withdrawn_memberships JOIN withdrawals ON withdrawals.id = withdrawal_id
    WHERE withdrawals.state = 'done' AND withdrawn_on >= :day AND withdrawn_on < :until)""")
_AGAIN = text(f"{_MEMBERSHIPS} WHERE standing.subscription_id = ANY(:subscriptions)")


def due(db: Connection, until: date, *, day: date) -> Iterable[Membership]:
    """The memberships that a sweep for `day` must look at, and those that will be withdrawn by `until`."""
    return map(_membership, db.execute(_DUE, {"day": day, "until": until}, execution_options={"yield_per": 5_000}))


def again(db: Connection, locked: Locked) -> Iterable[Membership]:
    """The memberships among what is locked, as they are now."""
    return map(_membership, db.execute(_AGAIN, {"subscriptions": locked.subscriptions}))


def _membership(row: Row[tuple[object, ...]]) -> Membership:
    return Membership(
        id=row.subscription_id,
        code=row.code,
        product=row.product,
        expires_on=row.expires_on,
        status=Status(row.status),
        anchor=row.anchor,
        last_start=row.last_start,
        auto_renew=row.auto_renew,
        period_months=row.period_months,
        quantity=row.quantity,
        unit_price=row.unit_price,
        vat_rate=row.vat_rate,
        currency=row.currency,
        withdrawn_on=row.withdrawn_on,
        erased=row.erased,
        due_on=row.due_on,
    )


# An instalment of that day that is there already, from an import say, is the one.
_RENEW = text("""
WITH missing AS (
    SELECT * FROM unnest(
        cast(:subscriptions AS bigint[]), cast(:starts AS date[]), cast(:ends AS date[]), cast(:amounts AS numeric[]),
        cast(:currencies AS text[])) AS missing (subscription_id, starts_on, ends_on, amount, currency)
), term AS (
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, starts_on, ends_on, :now FROM missing
)
INSERT INTO instalments (subscription_id, due_on, amount, currency, status, run_id, recorded_at)
SELECT subscription_id, starts_on, amount, currency, 'due', :run_id, :now FROM missing WHERE amount > 0
ON CONFLICT (subscription_id, due_on) DO NOTHING
""")

# Status and rule have one name.
_CLOSE = text("""
WITH closed AS (
    UPDATE subscription_status SET status = :status, due_on = NULL
    WHERE subscription_id = ANY(:subscriptions)
    RETURNING subscription_id
)
INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id, recorded_at)
SELECT subscription_id, term_id, :status, :status, :day, :run_id, :now
FROM closed CROSS JOIN LATERAL (
    SELECT id AS term_id FROM terms WHERE terms.subscription_id = closed.subscription_id
    ORDER BY starts_on DESC, recorded_at DESC LIMIT 1) AS term
""")

_STATUSES = {Step.WITHDRAW: Status.WITHDRAWN, Step.END: Status.ENDED}


def record(
    db: Connection,
    step: Step,
    memberships: Sequence[Membership],
    terms: Terms,
    calls: Calls,
    run_id: UUID,
    now: datetime,
) -> None:
    """Record that `step` was done to these memberships: their missing terms and instalments, or that they are over.

    Nobody is written to, and no access is taken away. Statuses must be locked.
    """
    those = [membership.id for membership in memberships]
    if step in _STATUSES:
        about = {"subscriptions": those, "status": _STATUSES[step], "day": terms.day, "run_id": run_id, "now": now}
        db.execute(_CLOSE, about)
        return
    missing = [
        (one.id, period.starts_on, period.ends_on, one.amount, one.currency)
        for one in memberships
        for period in missing_terms(one, terms.day)
    ]
    columns = ("subscriptions", "starts", "ends", "amounts", "currencies")
    arrays = dict(zip(columns, map(list, zip(*missing, strict=True)), strict=True))
    db.execute(_RENEW, arrays | {"run_id": run_id, "now": now})
    refresh(db, GIVEN, Learned(terms.day, now, run_id, calls), those)
