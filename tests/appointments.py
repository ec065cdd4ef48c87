"""Appointments, written straight into the tables."""

from datetime import datetime

from sqlalchemy import Connection, insert

from lifecycle.persistence import tables


def appointment(
    db: Connection, code: str, customer: int, starts_at: datetime, status: str = "attended", title: str | None = None
) -> None:
    db.execute(
        insert(tables.appointments).values(
            code=code, customer_id=customer, starts_at=starts_at, status=status, title=title
        )
    )
