"""Consents, objections and contacts, written straight into the tables, for tests of what is said of them."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text

from lifecycle.persistence import tables
from lifecycle.rules.contact import Consent, ConsentType, ContactChannel, Customer
from tests.cast import LONG_AGO, customer

DAY = date(2026, 6, 15)
UNTIL = datetime(2026, 6, 15, 22, tzinfo=UTC)
"""The end of DAY in Rome."""

BULK, SINGLE, CONTACT = ContactChannel


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
    db.execute(
        text("UPDATE customers SET name = '', email = NULL, erased_on = :on WHERE id = :customer"),
        {"on": on, "customer": customer},
    )


TYPES = (
    ConsentType("calls", None, frozenset({CONTACT})),
    ConsentType("news", 40, frozenset({BULK, SINGLE})),
    ConsentType("offers", 20, frozenset({SINGLE, CONTACT})),
)

# Few days, so that things fall on the same one; with those on which what was granted lapses, and those beside them.
days = st.sampled_from([-61, -60, -41, -40, -39, -31, -30, -26, -25, -24, -20, -19, -11, -10, -9, -1, 0, 1])
grants = st.tuples(
    st.sampled_from(TYPES), days, st.none() | days, st.booleans()
)  # type, days from DAY to the grant, and to the withdrawal or the grant, whatever is later; whether known by then
objections = st.tuples(st.sampled_from(ContactChannel), days, st.booleans())
people = st.tuples(
    st.lists(grants, max_size=6),
    st.lists(objections, max_size=2, unique_by=lambda one: one[:2]),
    st.none() | st.integers(-1, 1),  # days from DAY to the erasure
)
Person = tuple[list[tuple[ConsentType, int, int | None, bool]], list[tuple[ContactChannel, int, bool]], int | None]


def types(db: Connection) -> dict[ConsentType, int]:
    """Write down TYPES. Returns their ids."""
    return {each: consent_type(db, each.code, each.valid_days, " ".join(each.channels)) for each in TYPES}


def after(days: int) -> date:
    return DAY + timedelta(days=days)


def recorded(db: Connection, code: str, person: Person, types: dict[ConsentType, int]) -> Customer:
    """Write down what a person said. Returns what was known of it at the end of the day."""
    given_, objected, erased = person
    id_ = customer(db, code)
    last: dict[tuple[str, int], Consent] = {}
    objects: dict[ContactChannel, date] = {}
    for number, (type_, granted, withdrawn, yes) in enumerate(given_):
        withdrawn_on = None if withdrawn is None else after(max(granted, withdrawn))
        made = consent(db, id_, types[type_], after(granted), withdrawn_on, known=moment(yes, number))
        if yes:
            last[type_.code, granted] = Consent(made, type_, after(granted), withdrawn_on)
    for channel, said, yes in objected:
        objection(db, id_, channel, after(said), known=moment(yes, 0))
        if yes and said <= 0:
            objects[channel] = max(after(said), objects.get(channel, date.min))
    if erased is not None:
        erase(db, id_, after(erased))
    return Customer(tuple(last.values()), objects, erased is not None and erased <= 0)


def moment(before_the_end: bool, number: int) -> datetime:
    """The n-th moment that was known at the end of the day, or that was not."""
    return UNTIL + timedelta(seconds=number - (1_000 if before_the_end else 0))
