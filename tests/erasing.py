"""Erasures of customers that a test names, and transactions that wait for one."""

import time
from concurrent.futures import Future
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from lifecycle.persistence import erasure, runs
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Found, Scope
from lifecycle.rules.erasure import Criteria
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings

DAY = date(2026, 6, 1)


def erase(db: Connection, *codes: str) -> None:
    """As a portion of an erasure does."""
    erasure.begin(db)
    db.execute(text("INSERT INTO erasing SELECT id FROM customers WHERE code = ANY(:codes)"), {"codes": list(codes)})
    erasure.lock(db)
    run = uuid4()
    runs.start(db, run, "gdpr-erasure-batch", DAY, dry_run=False, prefect_id=None)
    scope = Scope(Criteria.of_days(DAY, 365), Segment(), settings().zone, "it")
    shown = erasure.show(db, scope, Found(), run, None, timedelta(days=7))
    assert erasure.anonymise(db, shown.id, DAY) == len(codes)


def waits(what: Future[Any]) -> bool:
    """Whether it comes to wait for another transaction, rather than to its end."""
    deadline = time.monotonic() + 30
    while not what.done() and time.monotonic() < deadline:
        with transaction() as db:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            if db.execute(text(waiting)).scalar():
                return True
        time.sleep(0.02)
    return False
