"""Our own record of every run: Prefect shows runs, these rows prove them."""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update

from lifecycle.persistence.tables import runs


def start(db: Connection, run_id: UUID, flow: str, business_date: date, dry_run: bool, prefect_id: UUID | None) -> None:
    db.execute(
        insert(runs).values(
            id=run_id, flow=flow, business_date=business_date, dry_run=dry_run, prefect_flow_run_id=prefect_id
        )
    )


def finish(db: Connection, run_id: UUID, outcome: str, counts: Mapping[str, int]) -> None:
    db.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(outcome=outcome, counts=dict(counts), finished_at=func.clock_timestamp())
    )


def counts(db: Connection, prefect_id: UUID) -> dict[str, int]:
    """What the run that Prefect knows under this id counted, when it last ran; empty if it left no record."""
    records = select(runs.c.counts).where(runs.c.prefect_flow_run_id == prefect_id).order_by(runs.c.started_at.desc())
    return db.execute(records).scalar() or {}
