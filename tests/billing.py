"""Customers with services that fall due, and billing runs over them, for tests of cards."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, refresh
from tasks import billing_card
from tasks.billing_card import Billed, Order
from tests import cast
from tests.sweeping import at, started

DAY = date(2026, 3, 1)
IBAN = "IT60X0542811101000000123456"


def hold(customer: str, services: dict[str, date], *, product: str = "HOSTING", email: str | None = "c@x.it") -> None:
    """A customer with services that expire on these days: 120 EUR a year and 22 % VAT each."""
    with transaction() as db:
        found = db.execute(text("SELECT id FROM products WHERE code = :code"), {"code": product}).scalar()
        kind = found or cast.product(db, product, "custom" if product == "APP" else "service")
        id_ = cast.customer(db, customer)
        db.execute(text("UPDATE customers SET email = :email WHERE id = :id"), {"email": email, "id": id_})
        held = []
        for code, expires_on in services.items():
            held.append(cast.subscription(db, code, id_, kind))
            cast.term(db, held[-1], expires_on, starts_on=expires_on - timedelta(days=364))
        refresh(db, GIVEN, Learned(date(2018, 1, 1), cast.LONG_AGO, None, cast.LIVE), held)


def run(day: date = DAY, *, codes: list[str] | None = None, portion: int = 1_000, dry_run: bool = False) -> Billed:
    """A whole run as the flow does it, but for the delivery."""
    order = Order(day, at(day, 5), started("billing-card-run", day), dry_run)
    due = billing_card.customers_due.fn(order, codes)
    billed = Billed()
    for start in range(0, len(due), portion):
        billed.add(billing_card.bill.fn(due[start : start + portion], order))
    return billed


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def change(statement: str) -> None:
    with transaction() as db:
        db.execute(text(statement))
