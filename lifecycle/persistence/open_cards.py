"""How cards, credits, suspended services and payments stood at the end of a day, by business dates."""

from datetime import date

from sqlalchemy import Connection, text

from lifecycle.rules.open_cards import Credit, Debt, OpenCards, SuspendedService, Unassigned

# A card in the revision of :day. One that was paid, re-opened by a reversal since, and so is not closed today, was
# fully paid on the days between.
_OPEN = """
SELECT cards.id, number, customer_id, currency, issued_on, expiry.due_on,
    last.revision, last.total, paid.amount AS paid, last.trial
FROM cards
CROSS JOIN LATERAL (
    SELECT revision, total, trial FROM card_revisions
    WHERE card_id = cards.id AND made_on <= :day
    ORDER BY revision DESC LIMIT 1
) AS last
CROSS JOIN LATERAL (
    SELECT min(expires_on) AS due_on FROM card_lines WHERE card_id = cards.id AND revision = last.revision
) AS expiry
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0) AS amount FROM allocations
    WHERE card_id = cards.id AND purpose = 'card' AND business_date <= :day
) AS paid
WHERE issued_on <= :day AND (closed_on IS NULL OR closed_on > :day) AND last.total > paid.amount"""

_DEBTS = text(f"""
SELECT number, customers.code, customers.name, currency, issued_on, due_on, revision, total, paid, trial
FROM ({_OPEN}) AS open
JOIN customers ON customers.id = customer_id
ORDER BY due_on, number
""")

_CREDITS = text("""
SELECT customers.code, customers.name, currency, sum(amount)
FROM allocations JOIN customers ON customers.id = customer_id
WHERE purpose = 'credit' AND business_date <= :day
GROUP BY customers.id, currency
HAVING sum(amount) <> 0
ORDER BY customers.code COLLATE "C", currency
""")

_SUSPENDED = text(f"""
WITH latest AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, to_status, business_date AS since
    FROM transitions
    WHERE business_date <= :day AND subscription_id IN (
        SELECT subscription_id FROM transitions WHERE to_status = 'suspended' AND business_date <= :day
    )
    ORDER BY subscription_id, business_date DESC, id DESC
), standing AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, number, currency, total - paid AS open
    FROM ({_OPEN}) AS open
    JOIN card_lines AS line ON card_id = open.id AND line.revision = open.revision
    ORDER BY subscription_id, expires_on
)
SELECT subscriptions.code, coalesce(reference, ''), products.name, customers.code, customers.name, since,
    number, standing.currency, open
FROM latest
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN products ON products.id = product_id
JOIN customers ON customers.id = customer_id
LEFT JOIN standing USING (subscription_id)
WHERE to_status = 'suspended'
ORDER BY subscriptions.code COLLATE "C"
""")

_UNASSIGNED = text("""
SELECT id, bank_reference, received_on, coalesce(payer, ''), remittance, currency, amount, coalesce(assigned, 0)
FROM payments
LEFT JOIN (
    SELECT payment_id, sum(amount) AS assigned FROM allocations WHERE business_date <= :day GROUP BY payment_id
) AS gone ON payment_id = payments.id
WHERE business_date <= :day AND amount <> coalesce(assigned, 0)
ORDER BY received_on, bank_reference COLLATE "C"
""")


def read(db: Connection, day: date) -> OpenCards:
    """All of it at the end of `day`: cards by expiry, credits by customer, services by code, payments by day."""
    asked = {"day": day}
    return OpenCards(
        day,
        [Debt(*row) for row in db.execute(_DEBTS, asked)],
        [Credit(*row) for row in db.execute(_CREDITS, asked)],
        [SuspendedService(*row) for row in db.execute(_SUSPENDED, asked)],
        [Unassigned(*row) for row in db.execute(_UNASSIGNED, asked)],
    )
