"""The people tests are about, written straight into the tables."""

from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, insert

from lifecycle.persistence import tables
from lifecycle.rules.outbox import State
from lifecycle.rules.provisioning import Calls

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LIVE = Calls(State.QUEUED, State.QUEUED)


def reseller(
    db: Connection, code: str, *, locale: str | None = "en", email: str | None = "reseller@example.com"
) -> int:
    statement = insert(tables.resellers).values(code=code, name=f"Reseller {code}", email=email, locale=locale)
    return _id(db, statement.returning(tables.resellers.c.id))


def customer(db: Connection, code: str) -> int:
    statement = insert(tables.customers).values(code=code, kind="company", name=f"Customer {code}")
    return _id(db, statement.returning(tables.customers.c.id))


def product(db: Connection, code: str = "CLOUD", policy: str = "licence") -> int:
    statement = insert(tables.products).values(
        code=code,
        name=f"Product {code}",
        policy=policy,
        period_months=12,
        price=Decimal(120),
        currency="EUR",
        vat_rate=Decimal(22),
    )
    return _id(db, statement.returning(tables.products.c.id))


def subscription(db: Connection, code: str, customer: int, product: int) -> int:
    statement = insert(tables.subscriptions).values(
        code=code,
        customer_id=customer,
        product_id=product,
        anchor=date(2018, 1, 1),
        quantity=1,
        auto_renew=False,
        charge_method="transfer",
    )
    return _id(db, statement.returning(tables.subscriptions.c.id))


def term(
    db: Connection,
    subscription: int,
    expires_on: date,
    *,
    starts_on: date = date(2018, 1, 1),
    known: datetime = LONG_AGO,
) -> None:
    db.execute(
        insert(tables.terms).values(
            subscription_id=subscription, starts_on=starts_on, expires_on=expires_on, recorded_at=known
        )
    )


def association(
    db: Connection,
    customer: int,
    reseller: int,
    from_on: date = date(2018, 1, 1),
    until_on: date | None = None,
    *,
    known: datetime = LONG_AGO,
) -> None:
    db.execute(
        insert(tables.associations).values(
            customer_id=customer, reseller_id=reseller, from_on=from_on, until_on=until_on, recorded_at=known
        )
    )


def _id(db: Connection, statement: object) -> int:
    found: int = db.execute(statement).scalar_one()  # type: ignore[call-overload]
    return found
