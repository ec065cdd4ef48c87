"""Our own record of every run: Prefect shows runs, these rows prove them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, exists, func, insert, select, update

from lifecycle.persistence.tables import runs
from lifecycle.rules.periods import Ran
from lifecycle.rules.runs import Summary


class Unfinished(NamedTuple):
    """A run that has said that it began, and not how it ended."""

    id: UUID
    flow: str
    started_at: datetime
    prefect_id: UUID | None


def start(
    db: Connection,
    run_id: UUID,
    flow: str,
    business_date: date,
    *,
    dry_run: bool,
    prefect_id: UUID | None,
    whole: bool = True,
) -> None:
    db.execute(
        insert(runs).values(
            id=run_id,
            flow=flow,
            business_date=business_date,
            dry_run=dry_run,
            prefect_flow_run_id=prefect_id,
            whole=whole,
        )
    )


def finish(db: Connection, summary: Summary, outcome: str) -> None:
    """Where the run turned out to be about another day than it began with, that one counts."""
    db.execute(
        update(runs)
        .where(runs.c.id == summary.run_id)
        .values(
            outcome=outcome,
            business_date=summary.business_date,
            counts=dict(summary.counts),
            finished_at=func.clock_timestamp(),
        )
    )


def counts(db: Connection, prefect_id: UUID) -> dict[str, int]:
    """What the run that Prefect knows under this id counted, when it last ran; empty if it left no record."""
    records = select(runs.c.counts).where(runs.c.prefect_flow_run_id == prefect_id).order_by(runs.c.started_at.desc())
    return db.execute(records).scalar() or {}


def of_periods(db: Connection, flow: str, first: date) -> list[Ran]:
    """The flow's runs for whole periods from `first` on, oldest first; dry runs are none.

    One that has waited for a person is none any more once it goes on: how that ends is another record's.
    """
    later = runs.alias()
    goes_on = exists().where(
        later.c.flow == flow,
        later.c.prefect_flow_run_id == runs.c.prefect_flow_run_id,
        later.c.started_at > runs.c.started_at,
    )
    records = (
        select(runs.c.business_date, runs.c.outcome, runs.c.started_at)
        .where(runs.c.flow == flow, runs.c.business_date >= first, runs.c.whole, ~runs.c.dry_run)
        .where((runs.c.outcome != "waiting") | ~goes_on)
        .order_by(runs.c.started_at)
    )
    return [Ran(*row) for row in db.execute(records)]


def first_started(db: Connection, flow: str) -> datetime | None:
    """When the flow ran first, as far back as runs are kept; None: never. Dry runs are none: somebody has a look."""
    return db.execute(select(func.min(runs.c.started_at)).where(runs.c.flow == flow, ~runs.c.dry_run)).scalar()


def unfinished(db: Connection) -> list[Unfinished]:
    """Oldest first. Most of them are at work."""
    columns = (runs.c.id, runs.c.flow, runs.c.started_at, runs.c.prefect_flow_run_id)
    found = db.execute(select(*columns).where(runs.c.outcome == "running").order_by(runs.c.started_at))
    return [Unfinished(*row) for row in found]


def crash(db: Connection, ids: Sequence[UUID]) -> int:
    """Say of runs that their process died; how many of them had not ended since."""
    died = update(runs).where(runs.c.id.in_(ids), runs.c.outcome == "running")
    return db.execute(died.values(outcome="crashed", finished_at=func.clock_timestamp())).rowcount
