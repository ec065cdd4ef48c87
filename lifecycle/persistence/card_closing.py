"""Cards that become void: nothing can be paid by them any more, and nothing that was paid is lost.

The caller has locked the cards and then the statuses of all that stands on them, which is the order in the whole house.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

_VOID = text("""
WITH closed AS (
    UPDATE cards SET state = 'void', closed_on = :day WHERE id = ANY(:cards) AND state = 'open'
    RETURNING id, customer_id, currency
), line AS (
    UPDATE card_lines SET payable = false FROM closed WHERE card_id = closed.id AND payable
    RETURNING subscription_id, expires_on
), freed AS (
    UPDATE subscription_status AS standing
    SET to_card = CASE WHEN status <> 'deleted' AND policy = 'service' THEN standing.expires_on END
    FROM line
    JOIN subscriptions ON subscriptions.id = line.subscription_id
    JOIN products ON products.id = product_id
    WHERE standing.subscription_id = line.subscription_id AND standing.expires_on = line.expires_on
), paid AS (
    SELECT card_id, closed.customer_id, closed.currency, sum(amount) AS amount
    FROM closed JOIN allocations ON card_id = closed.id AND purpose = 'card'
    GROUP BY card_id, closed.customer_id, closed.currency HAVING sum(amount) <> 0
)
INSERT INTO allocations (customer_id, card_id, purpose, amount, currency, rule, business_date, run_id, recorded_at)
SELECT customer_id, card_id, purpose, sign * amount, currency, 'card void', :day, :run_id, :now
FROM paid CROSS JOIN (VALUES ('card', -1), ('credit', 1)) AS moved (purpose, sign)
ORDER BY card_id, sign
""")


def void(db: Connection, cards: Sequence[int], day: date, run_id: UUID, now: datetime) -> None:
    """Make those of the locked `cards` void that are open.

    What was paid on them in part becomes their customer's credit. The services on them need another card, except those
    that are deleted, and those renewed otherwise since: these may stand on another one.
    """
    db.execute(_VOID, {"cards": list(cards), "day": day, "run_id": run_id, "now": now})
