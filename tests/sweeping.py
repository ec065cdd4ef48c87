"""Sweeps, renewals and deliveries as the flows run them, without Prefect around them; and kills at any statement."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Engine, event

from lifecycle.persistence import runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.plans import Plan, PlanState
from tasks import daily_expiry_sweep
from tasks.delivery import deliver, take_stock
from tasks.provisioning import call
from tasks.record_renewal import renew


class Killed(BaseException):
    """As a kill: nothing on the way catches it, and the server takes back what was not committed."""


_thread = threading.local()


def _reached(*_: Any) -> None:
    left = getattr(_thread, "statements_left", None)
    if left is not None:
        _thread.statements_left = left - 1
        if left <= 0:
            raise Killed


_execute = psycopg.Cursor.execute


def _reached_then_execute(*args: Any, **options: Any) -> Any:
    _reached()
    return _execute(*args, **options)


@contextmanager
def mortal() -> Iterator[None]:
    """Inside it, threads can be killed."""
    event.listen(Engine, "commit", _reached)
    try:
        # The driver's own: not all statements go through SQLAlchemy.
        with patch.object(psycopg.Cursor, "execute", _reached_then_execute):
            yield
    finally:
        event.remove(Engine, "commit", _reached)


@contextmanager
def dying_after(statements: int) -> Iterator[None]:
    """The block is killed before a later statement or commit than so many, if it comes so far; this swallows it."""
    _thread.statements_left = statements
    try:
        yield
    except Killed:
        pass
    finally:
        _thread.statements_left = None


def at(day: date, hour: int = 3) -> datetime:
    """That day, by default at 05:30 or 04:30 local time or near it: before the hour of the monthly report."""
    return datetime.combine(day, time(hour, 30), UTC)


def started(flow: str, day: date) -> UUID:
    """The id of a run, recorded as every run is."""
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, flow, day, dry_run=False, prefect_id=None)
    return run_id


def sweep(day: date, portion: int = 40) -> Counter[str]:
    """A whole sweep; where the brake holds it, a person approves at once."""
    run_id = started(daily_expiry_sweep.FLOW, day)
    plan = daily_expiry_sweep.make_plan.fn(day, run_id, dry_run=False).plan
    if plan.state is PlanState.WAITING:
        try:
            plan = daily_expiry_sweep.approve.fn(plan.digest)
        except BadInput:  # the same plan of another sweep was approved before
            return Counter()
    return carry_out(plan, run_id, portion)


def carry_out(plan: Plan, run_id: UUID, portion: int = 40) -> Counter[str]:
    counts: Counter[str] = Counter()
    for ids in daily_expiry_sweep.cut.fn(plan, portion):
        counts += daily_expiry_sweep.execute.fn(plan, ids, run_id, at(plan.business_date))
    daily_expiry_sweep.finish.fn(plan)
    return counts


def deliver_now() -> Counter[str]:
    """Hand over whatever is queued, also what waits for another try."""
    later = datetime.now(UTC) + timedelta(days=1)
    if not take_stock.fn()["queued"]:
        return Counter()
    return deliver.fn(0, later) + call.fn(0, later)


def record_renewal(licence: str, expires_on: date, day: date, hour: int = 12) -> Counter[str]:
    run_id = started("record-renewal", day)
    return renew.fn(licence, expires_on, day, at(day, hour), run_id, dry_run=False)
