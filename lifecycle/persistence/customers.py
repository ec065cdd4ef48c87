"""All about one customer, for a person on the telephone."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from lifecycle.persistence import associations
from lifecycle.rules.records import start_of_day
from lifecycle.rules.subscriptions import Status, status_on

_CUSTOMER = text("SELECT id, code, name FROM customers WHERE code = :code")

_SUBSCRIPTIONS = text("""
SELECT subscriptions.id, subscriptions.code, products.code AS product, policy
FROM subscriptions JOIN products ON products.id = product_id
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

_MESSAGES = text("SELECT kind, key, state, sent_at FROM messages WHERE customer_id = :customer ORDER BY created_at, id")


def show(db: Connection, code: str, day: date, zone: ZoneInfo) -> dict[str, Any] | None:
    """The customer with its subscriptions as of `day` in `zone`; None: no such customer.

    What had begun by then counts as it is known now, and what was sold for later as it was known then.
    """
    customer = db.execute(_CUSTOMER, {"code": code}).one_or_none()
    if customer is None:
        return None
    end_of_day = start_of_day(day + timedelta(days=1), zone)
    period = associations.latest(db, customer.id, day)
    subscriptions = db.execute(_SUBSCRIPTIONS, {"customer": customer.id}).all()
    messages = db.execute(_MESSAGES, {"customer": customer.id})
    return {
        "code": customer.code,
        "name": customer.name,
        "reseller": period.reseller if period and period.holds_on(day) else None,
        "subscriptions": [_subscription(db, day, end_of_day, *row) for row in subscriptions],
        "messages": [dict(row) for row in messages.mappings()],
    }


def _subscription(
    db: Connection, day: date, end_of_day: datetime, id_: int, code: str, product: str, policy: str
) -> dict[str, Any]:
    asked = {"subscription": id_, "day": day, "end_of_day": end_of_day}
    terms = [dict(row) for row in db.execute(_TERMS, asked).mappings()]
    transitions = [dict(row) for row in db.execute(_TRANSITIONS, asked).mappings()]
    expires_on = terms[-1]["expires_on"] if terms else None
    last = Status(transitions[-1]["to"]) if transitions else None
    return {
        "code": code,
        "product": product,
        "policy": policy,
        "status": status_on(day, expires_on, last) if expires_on else None,
        "expires_on": expires_on,
        "terms": terms,
        "transitions": transitions,
    }
