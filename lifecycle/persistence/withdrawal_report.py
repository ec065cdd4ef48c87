"""The withdrawals of a period as they were known then, with their customers' names of now, and the active base."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from lifecycle.rules.calendar import months
from lifecycle.rules.records import start_of_day
from lifecycle.rules.withdrawal_report import Withdrawals, Withdrawn

_WITHDRAWN = text("""
SELECT withdrawals.id, customers.code, customers.name, subscriptions.code, products.code, products.name,
    action_types.code, action_types.title, operator, withdrawn_on, former_expires_on, withdrawn.currency, owed, removed,
    to_be_refunded, done_at
FROM withdrawals
JOIN withdrawn_memberships AS withdrawn ON withdrawal_id = withdrawals.id
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN products ON products.id = product_id
JOIN customers ON customers.id = withdrawals.customer_id
JOIN action_types ON action_types.code = action_type
WHERE state = 'done' AND withdrawn_on BETWEEN :first AND :last AND done_at < :until
ORDER BY withdrawn_on, done_at, subscriptions.code COLLATE "C"
LIMIT :most
""")

# Of each term the last version known then. The days of a subscription's terms are put together, so that it counts once
# on a day that two of them cover; then one walk over all days on which their number changed says it for every month.
_ACTIVE = text("""
WITH version AS (
    SELECT DISTINCT ON (subscription_id, starts_on) subscription_id, starts_on, expires_on
    FROM terms
    JOIN subscriptions ON subscriptions.id = subscription_id
    JOIN products ON products.id = product_id AND policy = 'membership'
    WHERE starts_on <= cast(:newest AS date) AND terms.recorded_at < :until
    ORDER BY subscription_id, starts_on DESC, terms.recorded_at DESC
), spell AS (
    SELECT unnest(range_agg(daterange(starts_on, expires_on, '[]'))) AS days
    FROM version WHERE expires_on >= greatest(starts_on, cast(:oldest AS date)) GROUP BY subscription_id
), change AS (
    SELECT lower(days) AS day, 1 AS number FROM spell
    UNION ALL SELECT upper(days), -1 FROM spell
    UNION ALL SELECT unnest(cast(:months AS date[])), 0
)
SELECT day, active::bigint FROM (
    SELECT day, sum(sum(number)) OVER (ORDER BY day) AS active FROM change GROUP BY day
) AS counted
WHERE day = ANY(:months)
""")


def read(db: Connection, first: date, last: date, as_of: date, zone: ZoneInfo, most: int | None) -> Withdrawals:
    """Those with a last day from `first` to `last`, both included, by what was recorded until the end of `as_of`.

    The earliest memberships, if `most` is a number. The policy of a product is the one of now.
    """
    until = start_of_day(as_of + timedelta(days=1), zone)
    found = db.execute(_WITHDRAWN, {"first": first, "last": last, "until": until, "most": most})
    rows = ((*rest, done_at.astimezone(zone)) for *rest, done_at in found)
    listed = [Withdrawn(*row) for row in rows]
    begun = months(first, min(last, as_of))
    asked = {"months": begun, "oldest": min(begun, default=None), "newest": max(begun, default=None), "until": until}
    active = {row.day: row.active for row in db.execute(_ACTIVE, asked)}
    return Withdrawals(first, last, as_of, listed, active)
