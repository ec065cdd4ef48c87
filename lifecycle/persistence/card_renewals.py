"""What a paid card does: its services are renewed, each line once.

The caller has locked the cards (by id) in its transaction, and written what was allocated to them. Here the services'
statuses are locked after them, which is the order in the whole house.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from lifecycle.persistence.contact import CONTRACTUAL
from lifecycle.persistence.subscription_status import GIVEN, Learned, refresh
from lifecycle.rules.outbox import State

_CLOSE = text("""
WITH closed AS (
    UPDATE cards SET state = 'paid', closed_on = :day
    WHERE id = ANY(:cards) AND state = 'open' AND total <= (
        SELECT coalesce(sum(amount), 0) FROM allocations WHERE card_id = cards.id AND purpose = 'card')
    RETURNING id, revision
), lines AS (
    UPDATE card_lines SET payable = false FROM closed WHERE card_id = closed.id AND payable
)
SELECT id FROM closed""")

_LOCK = text("""
SELECT count(*) FROM (
    SELECT FROM subscription_status WHERE subscription_id IN (
        SELECT subscription_id FROM card_lines JOIN cards ON cards.id = card_id AND cards.revision = card_lines.revision
        WHERE cards.id = ANY(:cards) AND card_id = ANY(:cards))
    ORDER BY subscription_id FOR UPDATE) AS locked""")

# A line whose service has another expiry by now was renewed otherwise or corrected: nothing is added, a person is told.
# So it is where the product became one of memberships, and it was withdrawn from.
_RENEW = text("""
WITH line AS (
    SELECT card_id, number, card_lines.subscription_id, card_lines.starts_on, ends_on,
        standing.expires_on = card_lines.expires_on AND status <> 'deleted' AND NOT EXISTS (
            SELECT FROM withdrawn_memberships
            WHERE withdrawn_memberships.subscription_id = card_lines.subscription_id) AS renewable
    FROM cards
    JOIN card_lines ON card_id = cards.id AND card_lines.revision = cards.revision
    JOIN subscription_status AS standing ON standing.subscription_id = card_lines.subscription_id
    WHERE cards.id = ANY(:cards) AND NOT EXISTS (
        SELECT FROM card_renewals
        WHERE card_renewals.card_id = cards.id AND card_renewals.subscription_id = card_lines.subscription_id)
), term AS (
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, starts_on, ends_on, :now FROM line WHERE renewable ORDER BY subscription_id
    RETURNING id, subscription_id
), renewal AS (
    INSERT INTO card_renewals (card_id, subscription_id, term_id, business_date, run_id, recorded_at)
    SELECT card_id, subscription_id, term.id, :day, :run_id, :now FROM line JOIN term USING (subscription_id)
)
SELECT number, code, subscription_id, renewable FROM line JOIN subscriptions ON subscriptions.id = subscription_id
ORDER BY number, code""")

_CONFIRM = text(f"""
INSERT INTO messages (
    key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts, motive, basis)
SELECT 'renewal-confirmed/' || number || CASE :state WHEN 'withheld' THEN '/withheld' ELSE '' END, 'renewal-confirmed',
    :state, email, name, customer_id, :day, :run_id, jsonb_build_object('card', number), 'contract', basis
FROM cards JOIN customers ON customers.id = customer_id
JOIN LATERAL {CONTRACTUAL} AS allowed ON basis IS NOT NULL
WHERE cards.id = ANY(:cards) AND email IS NOT NULL AND EXISTS (SELECT FROM card_renewals WHERE card_id = cards.id)
ON CONFLICT (key) DO NOTHING""")


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of cards that were paid: their ids, how many services were renewed, how many of them came back.

    `otherwise` are the lines (card number, subscription code) whose service has another expiry by now.
    """

    paid: list[int]
    renewed: int
    back: int
    otherwise: list[tuple[str, str]]


def settle(db: Connection, cards: Sequence[int], learned: Learned, mails: State) -> Settled:
    """Close those of the locked `cards` that are paid in full now, and renew their services.

    The new terms start on the day after the old expiry, however late the payment. `mails`: the state in which the
    confirmations are written.
    """
    facts = {"day": learned.day, "now": learned.now, "run_id": learned.run_id}
    paid = list(db.execute(_CLOSE, {"cards": list(cards), "day": learned.day}).scalars())
    if not paid:
        return Settled([], 0, 0, [])
    db.execute(_LOCK, {"cards": paid})
    lines = db.execute(_RENEW, facts | {"cards": paid}).all()
    renewed = [line.subscription_id for line in lines if line.renewable]
    back = refresh(db, GIVEN, learned, renewed) if renewed else 0
    db.execute(_CONFIRM, {"cards": paid, "day": learned.day, "run_id": learned.run_id, "state": mails})
    otherwise = [(line.number, line.code) for line in lines if not line.renewable]
    return Settled(paid, len(renewed), back, otherwise)
