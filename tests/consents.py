"""Consents, objections and contacts, written straight into the tables, for tests of what is said of them."""

from datetime import date, datetime
from uuid import uuid4

from sqlalchemy import Connection, insert, text

from lifecycle.persistence import tables
from lifecycle.rules.contact import ContactChannel
from tests.cast import LONG_AGO


def consent_type(
    db: Connection, code: str, valid_days: int | None, channels: str = "bulk single", *, known: datetime = LONG_AGO
) -> int:
    """A type that allows the channels listed by blanks."""
    allowed = {f"allows_{channel}": channel in channels.split() for channel in ContactChannel}
    values = {"code": code, "title": f"Title {code}", "valid_days": valid_days, "recorded_at": known, **allowed}
    made = insert(tables.consent_types).values(values).returning(tables.consent_types.c.id)
    found: int = db.execute(made).scalar_one()
    return found


def consent(
    db: Connection,
    customer: int,
    type_: int,
    granted_on: date,
    withdrawn_on: date | None = None,
    *,
    known: datetime = LONG_AGO,
) -> int:
    statement = insert(tables.consents).values(
        customer_id=customer,
        consent_type_id=type_,
        granted_on=granted_on,
        withdrawn_on=withdrawn_on,
        recorded_at=known,
    )
    found: int = db.execute(statement.returning(tables.consents.c.id)).scalar_one()
    return found


def objection(
    db: Connection, customer: int, channel: ContactChannel, objected_on: date, *, known: datetime = LONG_AGO
) -> None:
    db.execute(
        insert(tables.objections).values(
            customer_id=customer, channel=channel, objected_on=objected_on, recorded_at=known
        )
    )


def switch(
    db: Connection, channel: ContactChannel, operator: str, on: date, *, asks: bool, known: datetime = LONG_AGO
) -> None:
    db.execute(
        insert(tables.switches).values(
            channel=channel, asks=asks, operator=operator, business_date=on, recorded_at=known
        )
    )


def motive(db: Connection, code: str, *, duty: bool = False) -> None:
    db.execute(insert(tables.motives).values(code=code, title=f"Title {code}", duty=duty))


def contact(
    db: Connection,
    customer: int,
    on: date,
    *,
    channel: str = "single",
    motive: str | None = None,
    duty: bool = False,
    consent: int | None = None,
    operator: str | None = None,
    known: datetime = LONG_AGO,
) -> None:
    """A contact that was made: under a motive, on a consent, or while nothing was asked for."""
    basis = ("duty" if duty else "motive") if motive else "consent" if consent else "unasked"
    db.execute(
        insert(tables.contacts).values(
            key=str(uuid4()),
            customer_id=customer,
            channel=channel,
            basis=basis,
            consent_id=consent,
            motive=motive,
            operator=operator,
            business_date=on,
            recorded_at=known,
        )
    )


def email(db: Connection, customer: int, address: str | None) -> None:
    db.execute(
        text("UPDATE customers SET email = :email WHERE id = :customer"), {"email": address, "customer": customer}
    )


def erase(db: Connection, customer: int, on: date) -> None:
    db.execute(text("UPDATE customers SET erased_on = :on WHERE id = :customer"), {"on": on, "customer": customer})
