"""Erasures up to where one is certified: inactive customers, shown, approved and erased."""

from collections.abc import Collection
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text

from lifecycle.persistence import erasure, ledger, tables
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Scope
from lifecycle.rules.erasure import Criteria, Preset
from lifecycle.rules.segment import Segment
from tests import cast
from tests.sweeping import started

DAY = date(2026, 11, 22)
ROME = ZoneInfo("Europe/Rome")
SCOPE = Scope(Criteria.of_preset(DAY, Preset.YEARS_2), Segment(), ROME, "it")


def administrator(code: str = "anna") -> None:
    with transaction() as db:
        db.execute(
            insert(tables.operators).values(
                code=code, name=f"Operator {code}", email=f"{code}@example.com", administrator=True
            )
        )


def inactive(*codes: str) -> None:
    """Customers who never had an appointment."""
    with transaction() as db:
        for code in codes:
            cast.customer(db, code)
        db.execute(
            text("UPDATE customers SET created_on = '2015-01-01' WHERE code = ANY(:codes)"), {"codes": list(codes)}
        )


def shown(scope: Scope = SCOPE) -> UUID:
    """All who are inactive, shown to an administrator who can wait for a week."""
    run_id = started("gdpr-erasure-batch", DAY)
    with transaction() as db:
        return erasure.show(db, scope, erasure.find(db, scope), run_id, None, timedelta(days=7)).id


def approved(taken_out: Collection[str] = ()) -> UUID:
    id_ = shown()
    with transaction() as db:
        assert erasure.approve(db, id_, "anna", list(taken_out))
    return id_


def erase(erasure_id: UUID) -> None:
    """In one portion, which is then written into the ledger."""
    with transaction() as db:
        erasure.erase(db, erasure.read(db, erasure_id), erasure.still_shown(db, erasure_id), DAY, ROME)
    with transaction() as db:
        ledger.write(db)
