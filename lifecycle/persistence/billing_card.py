"""Billing cards: the services that are due, the cards they stand on, the mails about these.

Runs that make cards take turns, with each other and with imports of payments (`take_turn`): no two of them bill one
service or use one credit. The order of locks in the whole house is: the turn, cards by id, statuses of subscriptions by
id, the year's number.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.persistence.contact import CONTRACTUAL
from lifecycle.persistence.payments import take_turn
from lifecycle.rules.billing_card import (
    Change,
    Line,
    OpenCard,
    Period,
    Service,
    number_of,
    period_after,
)
from lifecycle.rules.outbox import State

# What credit has renewed can be due again at once, by its next period. It waits for the next day's run: so the same run
# again does the same as one.
_RENEWED_TODAY = """EXISTS (
    SELECT FROM card_renewals AS done JOIN cards AS made ON made.id = card_id AND made.revised_on = done.business_date
    WHERE done.subscription_id = {subscription} AND done.business_date >= :day)"""

_DUE = text(f"""
SELECT customer_id FROM subscription_status AS standing JOIN subscriptions ON subscriptions.id = subscription_id
JOIN customers ON customers.id = customer_id AND erased_on IS NULL
WHERE to_card <= :until AND NOT {_RENEWED_TODAY.format(subscription="standing.subscription_id")}
UNION
SELECT cards.customer_id FROM cards
JOIN card_lines AS line ON line.card_id = cards.id AND payable
JOIN subscription_status AS standing USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN products AS product ON product.id = product_id
WHERE cards.state = 'open' AND (policy <> 'service' OR status = 'deleted' OR product.currency <> cards.currency
    OR (standing.expires_on, subscription.quantity, coalesce(subscription.unit_price, price), product.vat_rate)
        <> (line.expires_on, line.quantity, line.unit_price, line.vat_rate))
UNION
SELECT customer_id FROM cards
CROSS JOIN unnest(cast(:reminder_days AS integer[])) AS reminder (days)
WHERE state = 'open' AND due_on <= cast(:day AS date) + days
    AND due_on - days > greatest(revised_on, coalesce(reminded_for, '-infinity'))
UNION
SELECT customer_id FROM cards
WHERE state = 'open' AND (trial OR mailed_revision < revision) AND CASE WHEN trial THEN :live
    ELSE (SELECT email IS NOT NULL FROM customers WHERE customers.id = customer_id) END
""")


def due(db: Connection, day: date, until: date, reminder_days: Sequence[int], *, live: bool) -> list[int]:
    """The customers at whose cards a run for `day` must look, in order; what expires up to `until` is due."""
    asked = {"day": day, "until": until, "reminder_days": list(reminder_days), "live": live}
    return sorted(db.execute(_DUE, asked).scalars())


def ids(db: Connection, codes: Sequence[str]) -> dict[str, int]:
    """The customers that have these codes."""
    rows = db.execute(text("SELECT code, id FROM customers WHERE code = ANY(:codes)"), {"codes": list(codes)})
    return {row.code: row.id for row in rows}


@dataclass(slots=True)
class Account:
    """A customer with its services that are due and its open cards."""

    code: str
    reachable: bool
    services: list[Service] = field(default_factory=list)
    cards: list[OpenCard] = field(default_factory=list)


_LOCK_CARDS = text("SELECT id FROM cards WHERE customer_id = ANY(:customers) AND state = 'open' ORDER BY id FOR UPDATE")

# Also what stands on those cards and is no service any more, or was renewed otherwise: a void card frees it.
_LOCK_STANDINGS = text("""
SELECT subscription_id FROM subscription_status WHERE subscription_id IN (
    SELECT subscription_id FROM card_lines WHERE payable AND card_id = ANY(:cards)
    UNION
    SELECT id FROM subscriptions JOIN subscription_status ON subscription_id = id
    WHERE customer_id = ANY(:customers) AND to_card <= :until)
ORDER BY subscription_id FOR UPDATE""")

_CARDS = text("""
SELECT cards.*, coalesce(paid, 0) AS paid, coalesce(received, 0) > 0 AS paid_in_part
FROM cards LEFT JOIN LATERAL (
    SELECT sum(amount) AS paid, sum(amount) FILTER (WHERE payment_id IS NOT NULL) AS received
    FROM allocations WHERE card_id = cards.id AND purpose = 'card') AS allocated ON true
WHERE cards.id = ANY(:cards) ORDER BY cards.id""")

_CARD_LINES = text("SELECT * FROM card_lines WHERE card_id = ANY(:cards) AND payable")

_SERVICES = text(f"""
SELECT subscription.customer_id, subscription.id AS subscription_id, product.currency, standing.expires_on,
    anchor, last_start, period_months, quantity, coalesce(unit_price, price) AS unit_price, vat_rate, card.id AS card
FROM subscriptions AS subscription
JOIN subscription_status AS standing ON subscription_id = subscription.id AND status <> 'deleted'
JOIN products AS product ON product.id = product_id AND policy = 'service'
CROSS JOIN LATERAL (
    SELECT starts_on AS last_start FROM terms WHERE terms.subscription_id = subscription.id
    ORDER BY starts_on DESC, recorded_at DESC LIMIT 1) AS term
LEFT JOIN LATERAL (
    SELECT card_id FROM card_lines
    WHERE card_lines.subscription_id = subscription.id AND payable AND card_lines.expires_on = standing.expires_on
) AS line ON true
LEFT JOIN cards AS card ON card.id = card_id AND card.currency = product.currency
WHERE subscription.id = ANY(:subscriptions) AND (card_id IS NOT NULL
    OR to_card <= :until AND NOT {_RENEWED_TODAY.format(subscription="subscription.id")})
ORDER BY subscription.id""")


def locked(db: Connection, customers: Sequence[int], day: date, until: date) -> dict[int, Account]:
    """These customers by id, their open cards and the services due on `day` locked until the transaction ends.

    All is read after it was locked: what a statement reads beside the rows that it waits for is of before the wait.
    """
    take_turn(db)
    cards_of = {"customers": list(customers)}
    cards = list(db.execute(_LOCK_CARDS, cards_of).scalars())
    subscriptions = list(db.execute(_LOCK_STANDINGS, cards_of | {"cards": cards, "until": until}).scalars())
    rows = db.execute(
        text("SELECT id, code, email IS NOT NULL AS reachable FROM customers WHERE id = ANY(:ids) ORDER BY id"),
        {"ids": list(customers)},
    )
    accounts = {row.id: Account(row.code, row.reachable) for row in rows}
    lines: dict[int, set[Line]] = defaultdict(set)
    for row in db.execute(_CARD_LINES, {"cards": cards}):
        lines[row.card_id].add(line(row))
    for card in db.execute(_CARDS, {"cards": cards}):
        accounts[card.customer_id].cards.append(_open_card(card, frozenset(lines[card.id])))
    for row in db.execute(_SERVICES, {"subscriptions": subscriptions, "day": day, "until": until}):
        accounts[row.customer_id].services.append(_service(row))
    return accounts


def _open_card(row: Row[Any], lines: frozenset[Line]) -> OpenCard:
    return OpenCard(
        id=row.id,
        currency=row.currency,
        trial=row.trial,
        due_on=row.due_on,
        revised_on=row.revised_on,
        reminded_for=row.reminded_for,
        paid=row.paid,
        paid_in_part=row.paid_in_part,
        lines=lines,
    )


def line(row: Row[Any]) -> Line:
    """A row of card_lines."""
    return Line(
        subscription_id=row.subscription_id,
        expires_on=row.expires_on,
        period=Period(row.starts_on, row.ends_on),
        quantity=row.quantity,
        unit_price=row.unit_price,
        vat_rate=row.vat_rate,
    )


def _service(row: Row[Any]) -> Service:
    line = Line(
        subscription_id=row.subscription_id,
        expires_on=row.expires_on,
        period=period_after(row.expires_on, row.anchor, row.period_months, row.last_start),
        quantity=row.quantity,
        unit_price=row.unit_price,
        vat_rate=row.vat_rate,
    )
    return Service(row.currency, line, row.card)


@dataclass(frozen=True, slots=True)
class Run:
    """What all cards of a run have in common."""

    day: date
    now: datetime
    run_id: UUID
    live: bool
    shows_vat: bool


_NEXT_NUMBERS = text("""
INSERT INTO card_numbers (year, last) VALUES (:year, :many)
ON CONFLICT (year) DO UPDATE SET last = card_numbers.last + excluded.last RETURNING last""")

_NEW_CARDS = text("""
INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on, revised_on, run_id,
    recorded_at)
SELECT number, customer_id, currency, 'open', NOT :live, 0, 0, :day, :day, :day, :run_id, :now
FROM unnest(cast(:numbers AS text[]), cast(:customers AS bigint[]), cast(:currencies AS text[]))
    AS made (number, customer_id, currency)
RETURNING id, number""")

_NOT_PAYABLE = text("UPDATE card_lines SET payable = false WHERE card_id = ANY(:cards) AND payable")

_REVISE = text("""
UPDATE cards SET revision = revision + 1, total = revised.total, due_on = revised.due_on, revised_on = :day,
    trial = trial AND NOT :live
FROM unnest(cast(:cards AS bigint[]), cast(:totals AS numeric[]), cast(:due AS date[])) AS revised (id, total, due_on)
WHERE cards.id = revised.id
RETURNING cards.id, revision""")

_LINES = text("""
INSERT INTO card_lines (
    card_id, revision, subscription_id, expires_on, starts_on, ends_on, quantity, unit_price, vat_rate, payable)
SELECT line.*, true FROM unnest(
    cast(:cards AS bigint[]), cast(:revisions AS integer[]), cast(:subscriptions AS bigint[]),
    cast(:expiries AS date[]),
    cast(:starts AS date[]), cast(:ends AS date[]), cast(:quantities AS integer[]), cast(:prices AS numeric[]),
    cast(:rates AS numeric[])) AS line""")

_CARDED = text("UPDATE subscription_status SET to_card = NULL WHERE subscription_id = ANY(:subscriptions)")


def record(db: Connection, wanted: Sequence[Change], run: Run) -> list[int]:
    """Write new cards and new revisions, all but their documents. Returns the ids of the cards, in the same order."""
    new = [change for change in wanted if change.card is None]
    made = iter(_make(db, new, run))
    cards = [change.card.id if change.card else next(made) for change in wanted]
    db.execute(_NOT_PAYABLE, {"cards": cards})
    revised = db.execute(
        _REVISE,
        {
            "cards": cards,
            "totals": [change.total for change in wanted],
            "due": [min(line.expires_on for line in change.lines) for change in wanted],
            "day": run.day,
            "live": run.live,
        },
    )
    revisions = {row.id: row.revision for row in revised}
    rows = [(card, revisions[card], line) for card, change in zip(cards, wanted, strict=True) for line in change.lines]
    db.execute(
        _LINES,
        {
            "cards": [card for card, _, _ in rows],
            "revisions": [revision for _, revision, _ in rows],
            "subscriptions": [line.subscription_id for _, _, line in rows],
            "expiries": [line.expires_on for _, _, line in rows],
            "starts": [line.period.starts_on for _, _, line in rows],
            "ends": [line.period.ends_on for _, _, line in rows],
            "quantities": [line.quantity for _, _, line in rows],
            "prices": [line.unit_price for _, _, line in rows],
            "rates": [line.vat_rate for _, _, line in rows],
        },
    )
    db.execute(_CARDED, {"subscriptions": [line.subscription_id for _, _, line in rows]})
    return cards


def _make(db: Connection, new: Sequence[Change], run: Run) -> list[int]:
    """New cards, numbered in order; their first revision is still to come."""
    if not new:
        return []
    last: int = db.execute(_NEXT_NUMBERS, {"year": run.day.year, "many": len(new)}).scalar_one()
    numbers = [number_of(run.day.year, serial) for serial in range(last - len(new) + 1, last + 1)]
    rows = db.execute(
        _NEW_CARDS,
        {
            "numbers": numbers,
            "customers": [change.customer_id for change in new],
            "currencies": [change.currency for change in new],
            "live": run.live,
            "day": run.day,
            "run_id": run.run_id,
            "now": run.now,
        },
    )
    made = {row.number: row.id for row in rows}
    return [made[number] for number in numbers]


_USE_CREDIT = text("""
INSERT INTO allocations (customer_id, card_id, purpose, amount, currency, rule, business_date, run_id, recorded_at)
SELECT customer_id, card_id, purpose, CASE purpose WHEN 'card' THEN amount ELSE -amount END, currency,
    CASE WHEN amount > 0 THEN 'credit used' ELSE 'card became cheaper' END, :day, :run_id, :now
FROM unnest(cast(:cards AS bigint[]), cast(:amounts AS numeric[])) AS used (card_id, amount)
JOIN cards ON cards.id = card_id
CROSS JOIN (VALUES ('card'), ('credit')) AS side (purpose)""")


def use_credit(db: Connection, used: Mapping[int, Decimal], run: Run) -> None:
    """Move these amounts from the customers' credit to the cards with these ids; negative ones back to credit."""
    moved = {"cards": list(used), "amounts": list(used.values())}
    db.execute(_USE_CREDIT, moved | {"day": run.day, "run_id": run.run_id, "now": run.now})


_QUEUE_CARDS = text(f"""
WITH mailed AS (
    UPDATE cards SET mailed_revision = revision FROM customers AS customer
    WHERE customer.id = customer_id AND customer_id = ANY(:customers) AND state = 'open' AND mailed_revision < revision
        AND (trial OR email IS NOT NULL)
    RETURNING number, revision, trial, customer_id, coalesce(email, '') AS email, name
)
INSERT INTO messages (
    key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts, motive, basis)
SELECT 'billing-card/' || number || '/' || revision || CASE WHEN trial THEN '/withheld' ELSE '' END, 'billing-card',
    CASE WHEN trial THEN 'withheld' ELSE 'queued' END, email, name, customer_id, :day, :run_id,
    jsonb_build_object('card', number, 'revision', revision), 'contract', basis
FROM mailed JOIN LATERAL {CONTRACTUAL} AS allowed ON basis IS NOT NULL
RETURNING state""")

_QUEUE_REMINDERS = text(f"""
WITH reminded AS (
    UPDATE cards SET reminded_for = reminder.due_on
    FROM unnest(cast(:cards AS bigint[]), cast(:due AS date[])) AS reminder (card_id, due_on), customers AS customer
    WHERE cards.id = card_id AND customer.id = customer_id AND state = 'open' AND (trial OR email IS NOT NULL)
    RETURNING number, revision, trial, customer_id, coalesce(email, '') AS email, name, reminder.due_on
)
INSERT INTO messages (
    key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts, motive, basis)
SELECT 'card-reminder/' || number || '/' || due_on || CASE WHEN trial THEN '/withheld' ELSE '' END, 'card-reminder',
    CASE WHEN trial THEN 'withheld' ELSE 'queued' END, email, name, customer_id, :day, :run_id,
    jsonb_build_object('card', number), 'contract', basis
FROM reminded JOIN LATERAL {CONTRACTUAL} AS allowed ON basis IS NOT NULL
RETURNING state""")


def queue_mails(db: Connection, customers: Sequence[int], run: Run) -> Counter[State]:
    """Queue the mails of these customers' cards whose last revision was not mailed. Returns how many, by state."""
    asked = {"customers": list(customers), "day": run.day, "run_id": run.run_id}
    return Counter(State(row.state) for row in db.execute(_QUEUE_CARDS, asked))


def queue_reminders(db: Connection, due_on: Mapping[int, date], run: Run) -> Counter[State]:
    """Queue reminders of the cards with these ids, for these reminder days. Returns how many, by state."""
    asked = {"cards": list(due_on), "due": list(due_on.values()), "day": run.day, "run_id": run.run_id}
    return Counter(State(row.state) for row in db.execute(_QUEUE_REMINDERS, asked))


def custom_due(db: Connection, day: date, until: date) -> list[tuple[str, str, date]]:
    """Custom applications that fall due from `day` to `until`: (subscription's code, customer's code, expiry)."""
    rows = db.execute(
        text("""
        SELECT subscriptions.code, customers.code AS customer, expires_on
        FROM subscription_status
        JOIN subscriptions ON subscriptions.id = subscription_id
        JOIN products ON products.id = product_id AND policy = 'custom'
        JOIN customers ON customers.id = customer_id
        WHERE expires_on BETWEEN :day AND :until AND status <> 'deleted'
        ORDER BY expires_on, subscriptions.code"""),
        {"day": day, "until": until},
    )
    return [(row.code, row.customer, row.expires_on) for row in rows]
