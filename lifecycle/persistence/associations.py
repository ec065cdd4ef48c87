"""Which reseller looks after a customer: versions of periods, only ever added."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Connection, text

from lifecycle.rules.associations import Period


def looked_after(customer: str, day: str) -> str:
    """SQL to go on with after a FROM: `reseller` is whoever looks after the customer with this id on the day."""
    return f"""
LEFT JOIN LATERAL (
    SELECT reseller_id, until_on FROM associations
    WHERE associations.customer_id = {customer} AND from_on <= {day}
    ORDER BY from_on DESC, recorded_at DESC, id DESC LIMIT 1
) AS period ON period.until_on IS NULL OR period.until_on >= {day}
LEFT JOIN resellers AS reseller ON reseller.id = period.reseller_id"""


def ids(db: Connection, reseller: str, customer: str) -> tuple[int | None, int | None]:
    """The ids behind two codes; None for one that is nobody's any more. The customer is locked: changes take turns."""
    reseller_id = db.execute(text("SELECT id FROM resellers WHERE code = :code"), {"code": reseller}).scalar()
    customer_id = db.execute(
        text("SELECT id FROM customers WHERE code = :code AND erased_on IS NULL FOR UPDATE"), {"code": customer}
    ).scalar()
    return reseller_id, customer_id


def latest(db: Connection, customer_id: int, day: date) -> Period | None:
    """The period with the latest start up to `day`, in its last recorded version."""
    row = db.execute(
        text("""
        SELECT resellers.code, from_on, until_on FROM associations JOIN resellers ON resellers.id = reseller_id
        WHERE customer_id = :customer_id AND from_on <= :day
        ORDER BY from_on DESC, associations.recorded_at DESC, associations.id DESC LIMIT 1"""),
        {"customer_id": customer_id, "day": day},
    ).one_or_none()
    return Period(*row) if row else None


def record(db: Connection, customer_id: int, versions: Sequence[Period], now: datetime) -> None:
    """Add versions in the given order: of two with the same start, the later one counts."""
    for version in versions:
        db.execute(
            text("""
            INSERT INTO associations (customer_id, reseller_id, from_on, until_on, recorded_at)
            SELECT :customer_id, id, :from_on, :until_on, :now FROM resellers WHERE code = :reseller"""),
            {
                "customer_id": customer_id,
                "from_on": version.from_on,
                "until_on": version.until_on,
                "now": now,
                "reseller": version.reseller,
            },
        )
