"""Segments as SQL, and values in one that are nobody's."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from lifecycle.persistence.associations import looked_after
from lifecycle.rules.languages import Locale
from lifecycle.rules.segment import Segment

_LOOKED_AFTER = f"""EXISTS (
    SELECT FROM (VALUES (1)) AS one {looked_after("customer.id", ":day")}
    WHERE reseller.code = ANY(:reseller))"""

# As `subscriptions.status_on`, of the facts as `customers.show` takes them.
_STATUS = """(
    SELECT CASE
        WHEN coalesce(last.to_status, 'active') <> 'active' THEN last.to_status
        WHEN expires_on >= :day THEN 'active' ELSE 'expired' END
    FROM (
        SELECT expires_on FROM terms
        WHERE subscription_id = subscription.id AND (starts_on <= :day OR recorded_at < :end_of_day)
        ORDER BY starts_on DESC, recorded_at DESC LIMIT 1
    ) AS expiry
    LEFT JOIN (
        SELECT to_status FROM transitions
        WHERE subscription_id = subscription.id AND business_date <= :day
        ORDER BY business_date DESC, id DESC LIMIT 1
    ) AS last ON true)"""

_OF_CUSTOMERS = {
    "reseller": _LOOKED_AFTER,
    "language": "coalesce(customer.locale, :default_locale) = ANY(:language)",
    "country": "customer.country = ANY(:country)",
}
_OF_SUBSCRIPTIONS = {
    "product": "product.code = ANY(:product)",
    "policy": "policy = ANY(:policy)",
    "status": f"{_STATUS} = ANY(:status)",
}


def conditions(segment: Segment, day: date, end_of_day: datetime, default_locale: Locale) -> tuple[str, dict[str, Any]]:
    """SQL that is true of a `customer` in the segment on the day, and the values that it asks for.

    `end_of_day` is the first moment after the day.
    """
    given = {name: list(values) for name, values in segment.given.items()}
    of_customers = [_OF_CUSTOMERS[name] for name in given if name in _OF_CUSTOMERS]
    if held := [_OF_SUBSCRIPTIONS[name] for name in given if name in _OF_SUBSCRIPTIONS]:
        of_customers.append(f"""EXISTS (
            SELECT FROM subscriptions AS subscription JOIN products AS product ON product.id = product_id
            WHERE subscription.customer_id = customer.id AND {" AND ".join(held)})""")
    condition = " AND ".join(of_customers) or "true"
    moments = {"day": day, "end_of_day": end_of_day, "default_locale": default_locale}
    # SQLAlchemy takes no values that a statement does not ask for.
    asked = {name: value for name, value in moments.items() if f":{name}" in condition}
    return condition, asked | given


_KNOWN = {
    "reseller": "SELECT FROM resellers WHERE code = given.value",
    "product": "SELECT FROM products WHERE code = given.value",
    "country": "SELECT FROM customers WHERE country = given.value",
}


def unknown(db: Connection, segment: Segment) -> list[tuple[str, str]]:
    """Those values of the segment that are nobody's, each with its name: reseller, product or country."""
    return [
        (name, value)
        for name, known in _KNOWN.items()
        for value in db.execute(
            text(f"SELECT value FROM unnest(cast(:listed AS text[])) AS given (value) WHERE NOT EXISTS ({known})"),
            {"listed": list(getattr(segment, name))},
        ).scalars()
    ]
