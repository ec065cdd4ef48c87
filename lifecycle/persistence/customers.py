"""All about one customer, for a person on the telephone."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from lifecycle.persistence import associations, crm
from lifecycle.rules.billing_card import reference_of
from lifecycle.rules.contact import Consent, ConsentType, Customer
from lifecycle.rules.records import start_of_day
from lifecycle.rules.subscriptions import Status, status_on

_CUSTOMER = text("SELECT id, code, name, erased_on FROM customers WHERE code = :code")

_SUBSCRIPTIONS = text("""
SELECT subscriptions.id, subscriptions.code, coalesce(reference, '') AS reference, products.code AS product, policy,
    withdrawn_on
FROM subscriptions JOIN products ON products.id = product_id
LEFT JOIN (
    SELECT subscription_id, withdrawn_on FROM withdrawn_memberships
    JOIN withdrawals ON id = withdrawal_id WHERE business_date <= :day
) AS withdrawn ON subscription_id = subscriptions.id
WHERE customer_id = :customer
ORDER BY subscriptions.code COLLATE "C"
""")

# A term that was sold by then counts before it starts: it makes the expiry.
_TERMS = text("""
SELECT starts_on, expires_on, recorded_at FROM terms
WHERE subscription_id = :subscription AND (starts_on <= :day OR recorded_at < :end_of_day)
ORDER BY starts_on, recorded_at
""")

_TRANSITIONS = text("""
SELECT to_status AS to, rule, business_date FROM transitions
WHERE subscription_id = :subscription AND business_date <= :day
ORDER BY business_date, id
""")

# As a term: what was agreed by then, itself or with its term, counts before it is due.
_INSTALMENTS = text("""
SELECT code AS subscription, due_on, amount, currency, status, status = 'due' AND EXISTS (
    SELECT FROM withdrawn_memberships JOIN withdrawals ON withdrawals.id = withdrawal_id
    WHERE withdrawn_memberships.subscription_id = subscriptions.id AND business_date <= :day) AS detached
FROM subscriptions JOIN instalments ON subscription_id = subscriptions.id
WHERE customer_id = :customer AND (due_on <= :day OR instalments.recorded_at < :end_of_day OR EXISTS (
    SELECT FROM terms
    WHERE terms.subscription_id = subscriptions.id AND due_on BETWEEN terms.starts_on AND expires_on
        AND (terms.starts_on <= :day OR terms.recorded_at < :end_of_day)))
ORDER BY code COLLATE "C", due_on
""")

_MANDATES = text("""
SELECT code, kind, right(iban, 4) AS iban_ends_in, signed_on, CASE WHEN ended_on <= :day THEN ended_on END AS ended_on,
    ARRAY(
        SELECT code FROM subscriptions WHERE mandate_id = mandates.id ORDER BY code COLLATE "C"
    ) AS shared_by
FROM mandates
WHERE customer_id = :customer AND (signed_on <= :day OR recorded_at < :end_of_day)
ORDER BY code COLLATE "C"
""")

_CARDS = text("""
SELECT cards.id, number, cards.revision, state, currency, total,
    CASE state WHEN 'open' THEN total - coalesce(
        (SELECT sum(amount) FROM allocations WHERE card_id = cards.id AND purpose = 'card'), 0) ELSE 0.00 END AS open
FROM cards WHERE customer_id = :customer AND issued_on <= :day ORDER BY number
""")

_CARD_LINES = text("""
SELECT code AS subscription, expires_on, starts_on, ends_on, line.quantity, line.unit_price, vat_rate
FROM card_lines AS line JOIN subscriptions ON subscriptions.id = subscription_id
WHERE card_id = :card AND revision = :revision ORDER BY expires_on, code
""")

_CREDIT = text("""
SELECT currency, sum(amount) AS credit FROM allocations
WHERE customer_id = :customer AND purpose = 'credit' AND business_date <= :day
GROUP BY currency HAVING sum(amount) <> 0 ORDER BY currency
""")

_PAYMENTS = text("""
SELECT payments.id, bank_reference, coalesce(received_on, allocations.business_date) AS received_on,
    allocations.currency, purpose, number AS card, allocations.amount, rule
FROM allocations
LEFT JOIN payments ON payments.id = payment_id
LEFT JOIN cards ON cards.id = card_id
WHERE allocations.customer_id = :customer AND allocations.business_date <= :day
ORDER BY allocations.id
""")

# As a term: one that was agreed by then counts before it starts.
_APPOINTMENTS = text("""
SELECT code, starts_at, status, title FROM appointments
WHERE customer_id = :customer AND (starts_at < :end_of_day OR recorded_at < :end_of_day)
ORDER BY starts_at, code COLLATE "C"
""")

_MESSAGES = text("""
SELECT kind, key, state, sent_at FROM messages WHERE customer_id = :customer AND business_date <= :day
ORDER BY created_at, id
""")

_CONSENTS = text("""
SELECT DISTINCT ON (granted_on, code)
    consents.id, code, title, valid_days, granted_on, withdrawn_on, evidence, operator, consents.recorded_at
FROM consents JOIN consent_types ON consent_types.id = consent_type_id
WHERE customer_id = :customer AND granted_on <= :day
ORDER BY granted_on, code, consents.recorded_at DESC, consents.id DESC
""")

_OBJECTIONS = text("""
SELECT channel, objected_on, evidence, operator, recorded_at FROM objections
WHERE customer_id = :customer AND objected_on <= :day ORDER BY objected_on, channel
""")

_CONTACTS = text("""
SELECT key, channel, basis, consent_types.code AS consent_type, motive, contacts.operator, business_date
FROM contacts
LEFT JOIN consents ON consents.id = consent_id
LEFT JOIN consent_types ON consent_types.id = consent_type_id
WHERE contacts.customer_id = :customer AND business_date <= :day ORDER BY contacts.id
""")

_HOLDS = text("""
SELECT reason, until_on, operator, recorded_at FROM (
    SELECT DISTINCT ON (reason) * FROM holds WHERE customer_id = :customer AND recorded_at < :end_of_day
    ORDER BY reason, id DESC
) AS hold ORDER BY id
""")


def show(db: Connection, code: str, day: date, zone: ZoneInfo) -> dict[str, Any] | None:
    """The customer with its subscriptions as of `day` in `zone`; None: no such customer.

    What had begun by then counts as it is known now, and what was sold for later as it was known then. A term that
    expires before it starts never came into force. An instalment is detached that is owed still and not charged any
    more, as its membership is withdrawn from. Of one that is erased the name is empty.
    """
    customer = db.execute(_CUSTOMER, {"code": code}).one_or_none()
    if customer is None:
        return None
    end_of_day = start_of_day(day + timedelta(days=1), zone)
    period = associations.latest(db, customer.id, day)
    asked = {"customer": customer.id, "day": day}
    asked_by_evening = asked | {"end_of_day": end_of_day}
    subscriptions = db.execute(_SUBSCRIPTIONS, asked).all()
    messages = db.execute(_MESSAGES, asked)
    appointments = db.execute(_APPOINTMENTS, {"customer": customer.id, "end_of_day": end_of_day})
    return {
        "code": customer.code,
        "name": customer.name,
        "erased_on": customer.erased_on,
        "reseller": period.reseller if period and period.holds_on(day) else None,
        "subscriptions": [_subscription(db, day, end_of_day, row) for row in subscriptions],
        "instalments": [dict(row) for row in db.execute(_INSTALMENTS, asked_by_evening).mappings()],
        "mandates": [dict(row) for row in db.execute(_MANDATES, asked_by_evening).mappings()],
        "messages": [dict(row) for row in messages.mappings()],
        "cards": [_card(db, dict(row)) for row in db.execute(_CARDS, asked).mappings()],
        "credit": {row.currency: row.credit for row in db.execute(_CREDIT, asked)},
        "payments": [dict(row) for row in db.execute(_PAYMENTS, asked).mappings()],
        "consents": _consents(db, customer.id, day),
        "objections": [dict(row) for row in db.execute(_OBJECTIONS, asked).mappings()],
        "appointments": [dict(row) for row in appointments.mappings()],
        "contacts": [dict(row) for row in db.execute(_CONTACTS, asked).mappings()],
        "crm_actions": crm.history(db, customer.id, day),
        "holds": [dict(row) for row in db.execute(_HOLDS, asked_by_evening).mappings()],
    }


def _consents(db: Connection, customer: int, day: date) -> list[dict[str, Any]]:
    rows = db.execute(_CONSENTS, {"customer": customer, "day": day}).all()
    consents = [
        Consent(row.id, ConsentType(row.code, row.valid_days, frozenset()), row.granted_on, row.withdrawn_on)
        for row in rows
    ]
    said = Customer(tuple(consents))
    return [
        {
            "type": row.code,
            "title": row.title,
            "granted_on": row.granted_on,
            "withdrawn_on": row.withdrawn_on,
            "lapses_on": consent.lapses_on,
            "valid": said.holds(consent, day),
            "evidence": row.evidence,
            "operator": row.operator,
            "recorded_at": row.recorded_at,
        }
        for row, consent in zip(rows, consents, strict=True)
    ]


def _card(db: Connection, card: dict[str, Any]) -> dict[str, Any]:
    lines = db.execute(_CARD_LINES, {"card": card.pop("id"), "revision": card["revision"]}).mappings()
    return card | {"reference": reference_of(card["number"]), "lines": [dict(line) for line in lines]}


def _subscription(db: Connection, day: date, end_of_day: datetime, row: Row[Any]) -> dict[str, Any]:
    asked = {"subscription": row.id, "day": day, "end_of_day": end_of_day}
    terms = [dict(row) for row in db.execute(_TERMS, asked).mappings()]
    transitions = [dict(row) for row in db.execute(_TRANSITIONS, asked).mappings()]
    expires_on = terms[-1]["expires_on"] if terms else None
    last = Status(transitions[-1]["to"]) if transitions else None
    return {
        "code": row.code,
        "reference": row.reference,
        "product": row.product,
        "policy": row.policy,
        "status": status_on(day, expires_on, last) if expires_on else None,
        "expires_on": expires_on,
        "withdrawn_on": row.withdrawn_on,
        "terms": terms,
        "transitions": transitions,
    }
