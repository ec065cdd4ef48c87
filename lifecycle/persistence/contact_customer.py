"""Contacting one customer by hand: whom the mail goes to, the motives to choose from, the permission to telephone."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lifecycle.persistence.associations import looked_after
from lifecycle.persistence.tables import contacts, motives
from lifecycle.rules.contact import Allowed, ContactChannel, Motive
from lifecycle.rules.contact_customer import Choice
from lifecycle.rules.languages import Locale
from lifecycle.rules.outbox import State


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer as a mail to it needs it, and the reseller that looks after it; "" for what is not known."""

    name: str
    email: str
    locale: Locale
    reseller_name: str
    reseller_email: str
    reseller_phone: str


_ADDRESSEE = text(f"""
SELECT customer.name, coalesce(customer.email, '') AS email, coalesce(customer.locale, :default_locale) AS locale,
    coalesce(reseller.name, '') AS reseller_name, coalesce(reseller.email, '') AS reseller_email,
    coalesce(reseller.phone, '') AS reseller_phone
FROM customers AS customer {looked_after("customer.id", ":day")}
WHERE customer.id = :customer""")


def addressee(db: Connection, customer_id: int, day: date, default_locale: Locale) -> Addressee:
    """The customer of that id, and its reseller on `day`."""
    asked = {"customer": customer_id, "day": day, "default_locale": default_locale}
    return Addressee(*db.execute(_ADDRESSEE, asked).one())


def choices(db: Connection) -> list[Choice]:
    """All motives, by their code."""
    rows = db.execute(select(motives).order_by(func.convert_to(motives.c.code, "UTF8")))
    return [Choice(Motive(row.code, row.duty), row.title) for row in rows]


def permit(
    db: Connection, key: str, customer_id: int, allowed: Allowed, operator: str, day: date, run_id: UUID
) -> bool:
    """Write the permission to telephone into the contact log. Returns whether the key was new."""
    statement = upsert(contacts).values(
        key=key,
        customer_id=customer_id,
        channel=ContactChannel.CONTACT,
        basis=allowed.basis,
        consent_id=allowed.consent,
        motive=allowed.motive,
        operator=operator,
        business_date=day,
        run_id=run_id,
    )
    added = db.execute(statement.on_conflict_do_nothing(index_elements=["key"]).returning(contacts.c.id))
    return added.first() is not None


def state_of(db: Connection, key: str) -> State:
    """What became of the message with this key, which there is."""
    return State(db.execute(text("SELECT state FROM messages WHERE key = :key"), {"key": key}).scalar_one())
