"""Our own record of every run: Prefect shows runs, these rows prove them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, exists, func, insert, select, text, update

from lifecycle.persistence import turns
from lifecycle.persistence.database import configured
from lifecycle.persistence.tables import runs
from lifecycle.rules.periods import Ran
from lifecycle.rules.runs import Summary


class Unfinished(NamedTuple):
    """A run that has said that it began, and not how it ended."""

    id: UUID
    flow: str
    prefect_id: UUID | None
    alive: bool


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


@contextmanager
def alive(run_id: UUID) -> Iterator[None]:
    """Until the block ends, other processes know that this run's process lives; however it ends.

    A session of its own holds a lock: PostgreSQL releases it in the moment in which the process is gone. Of a machine
    that vanished it would learn only hours later: it asks every half minute, and gives up after another one.
    """
    with configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(
            text("""
            SELECT pg_advisory_lock(:space, hashtext(:run)), set_config('tcp_keepalives_idle', '30', false),
                set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)"""),
            {"space": turns.RUNS, "run": str(run_id)},
        )
        try:
            yield
        finally:
            db.invalidate()  # closes the session


def unfinished(db: Connection) -> list[Unfinished]:
    """Runs that have not said how they ended, oldest first, and whether their process is `alive`."""
    rows = db.execute(
        text("""
        WITH unfinished AS MATERIALIZED (
            SELECT id, flow, started_at, prefect_flow_run_id FROM runs WHERE outcome = 'running'
        )
        SELECT id, flow, prefect_flow_run_id, NOT pg_try_advisory_xact_lock(:space, hashtext(cast(id AS text))) AS alive
        FROM unfinished ORDER BY started_at"""),
        {"space": turns.RUNS},
    )
    return [Unfinished(*row) for row in rows]


def ended_since(db: Connection, prefect_ids: Sequence[UUID], moment: datetime) -> set[UUID]:
    """Those of the runs that Prefect knows under these ids that said since then how they ended."""
    ended = select(runs.c.prefect_flow_run_id).where(
        runs.c.prefect_flow_run_id.in_(prefect_ids), runs.c.finished_at >= moment
    )
    return set(db.execute(ended).scalars())


def crash(db: Connection, ids: Sequence[UUID]) -> int:
    """Say of runs that their process died; how many of them had not ended since."""
    died = update(runs).where(runs.c.id.in_(ids), runs.c.outcome == "running")
    return db.execute(died.values(outcome="crashed", finished_at=func.clock_timestamp())).rowcount
