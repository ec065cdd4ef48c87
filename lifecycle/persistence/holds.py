"""Who is not erased, why and until when: holds, only ever added. Of those with the same reason the last one counts."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.rules.holds import Hold


def held(customer: str, day: str) -> str:
    """SQL, true where a hold on the customer with this id lasts on the day. Columns in the arguments are qualified."""
    return f"""EXISTS (
    SELECT FROM (
        SELECT DISTINCT ON (holds.reason) holds.until_on FROM holds WHERE holds.customer_id = {customer}
        ORDER BY holds.reason, holds.id DESC
    ) AS hold WHERE hold.until_on >= {day})"""


_UNTIL = text("""
SELECT DISTINCT ON (reason) reason, until_on FROM holds WHERE customer_id = :customer ORDER BY reason, id DESC""")

_PLACE = text("""
INSERT INTO holds (customer_id, reason, until_on, operator, run_id, recorded_at)
VALUES (:customer, :reason, :until, :operator, :run, :now)""")


@dataclass(frozen=True, slots=True)
class Held:
    """A customer with the last day of each of its holds, by reason."""

    id: int
    erased: bool
    until: dict[str, date]


def locked(db: Connection, code: str) -> Held | None:
    """The customer with this code; None: there is none. Locked until the transaction ends.

    So recordings take turns, and nobody is erased between the question and what follows from it.
    """
    row = db.execute(text("SELECT id, erased_on FROM customers WHERE code = :code FOR UPDATE"), {"code": code}).first()
    if row is None:
        return None
    until = {hold.reason: hold.until_on for hold in db.execute(_UNTIL, {"customer": row.id})}
    return Held(row.id, row.erased_on is not None, until)


def place(db: Connection, customer: int, hold: Hold, run_id: UUID | None, now: datetime) -> None:
    """Add the hold: from now on it is the one that counts for its reason."""
    asked = {"customer": customer, "reason": hold.reason, "until": hold.until, "operator": hold.operator}
    db.execute(_PLACE, asked | {"run": run_id, "now": now})
