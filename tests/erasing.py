"""Erasures that a test names: shown, approved and erased in portions, or these customers at once; and who waits."""

import time
from concurrent.futures import Future
from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from lifecycle.persistence import erasure, ledger
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Found, Scope
from lifecycle.rules.erasure import Criteria, Preset
from lifecycle.rules.segment import Segment
from tests import cast
from tests.sweeping import started

DAY = date(2026, 11, 22)
ROME = ZoneInfo("Europe/Rome")
SCOPE = Scope(Criteria.of_preset(DAY, Preset.YEARS_2), Segment(), ROME, "it")


def inactive(*codes: str) -> None:
    """Customers who never had an appointment."""
    with transaction() as db:
        for code in codes:
            cast.customer(db, code)
        db.execute(
            text("UPDATE customers SET created_on = '2015-01-01', email = code || '@example.com' WHERE code = ANY(:c)"),
            {"c": list(codes)},
        )


def shown() -> UUID:
    """All who are inactive, shown to an administrator who can wait for a week."""
    run_id = started("gdpr-erasure-batch", DAY)
    with transaction() as db:
        return erasure.show(db, SCOPE, erasure.find(db, SCOPE), run_id, None, timedelta(days=7)).id


def approved(*taken_out: str) -> UUID:
    """They, but for those taken out."""
    plan = shown()
    with transaction() as db:
        assert erasure.approve(db, plan, "anna", taken_out)
    return plan


def erase_portion(plan: UUID, *codes: str) -> None:
    """Without codes, of all that are left. It is not in the ledger yet."""
    with transaction() as db:
        ids = erasure.still_shown(db, plan)
        if codes:
            named = text("SELECT id FROM customers WHERE code = ANY(:codes)")
            ids = list(db.execute(named, {"codes": list(codes)}).scalars())
        erasure.erase(db, erasure.read(db, plan), ids, DAY, ROME)


def write() -> int:
    """Bring the ledger up to date."""
    with transaction() as db:
        return ledger.write(db)


def erase(db: Connection, *codes: str) -> None:
    """These, whatever speaks against it, as a portion does."""
    erasure.begin(db)
    db.execute(text("INSERT INTO erasing SELECT id FROM customers WHERE code = ANY(:codes)"), {"codes": list(codes)})
    erasure.lock(db)
    nobody = erasure.show(db, SCOPE, Found(), started("gdpr-erasure-batch", DAY), None, timedelta(days=7))
    assert erasure.anonymise(db, nobody.id, DAY) == len(codes)


def waits(what: Future[Any]) -> bool:
    """Whether it comes to wait for another transaction, rather than to its end."""
    deadline = time.monotonic() + 30
    while not what.done() and time.monotonic() < deadline:
        with transaction() as db:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            if db.execute(text(waiting)).scalar():
                return True
        time.sleep(0.02)
    return False
