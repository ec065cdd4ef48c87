"""What may go, and what must stay."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, text, update

from lifecycle.persistence import housekeeping, runs, tables
from lifecycle.rules.outbox import State
from tests import cast

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
OLD, YOUNG = BEFORE - timedelta(seconds=1), BEFORE
SERVER, FOLDER = "smtp:mail:25", "maildir:/mail"
DAY = date(2025, 6, 1)


def ran(db: Connection, flow: str, started: datetime, outcome: str = "completed", **values: object) -> UUID:
    id_ = uuid4()
    runs.start(db, id_, flow, DAY, dry_run=False, prefect_id=None)
    told = {"started_at": started, "outcome": outcome, **values}
    db.execute(update(tables.runs).where(tables.runs.c.id == id_).values(told))
    return id_


def tried(db: Connection, key: str, state: State, carrier: str, *moments: datetime) -> None:
    db.execute(update(tables.messages).where(tables.messages.c.key == key).values(state=state))
    message = db.execute(select(tables.messages.c.id).where(tables.messages.c.key == key)).scalar_one()
    for moment in moments:
        told = {"message_id": message, "worker": key, "carrier": carrier, "started_at": moment}
        db.execute(insert(tables.message_attempts).values(told))


def left(db: Connection) -> list[str]:
    return list(db.execute(text("SELECT worker FROM message_attempts ORDER BY id")).scalars())


def test_tries_go_that_are_old_and_went_to_a_server_for_a_message_that_is_settled(db: Connection) -> None:
    cases = list(product((State.QUEUED, State.SENDING, State.IN_DOUBT, State.FAILED, State.SENT, State.CANCELLED),
                         (SERVER, FOLDER), (OLD, YOUNG)))  # fmt: skip
    cases.sort(key=lambda case: case[-1])  # as they come
    keys = ["/".join(map(str, case)) for case in cases]
    cast.reports(db, keys, ran(db, "monthly-reseller-report", OLD), DAY, None)
    for key, (state, carrier, moment) in zip(keys, cases, strict=True):
        tried(db, key, state, carrier, moment)
    ids = housekeeping.attempts_from_before(db, BEFORE)
    assert len(ids) == len(cases) / 2
    assert housekeeping.old_attempts(db, BEFORE, ids) == 2
    assert [housekeeping.remove_attempts(db, BEFORE, part) for part in (ids[:9], ids[9:], ids)] == [1, 1, 0]
    assert [key for key in keys if key not in left(db)] == [f"sent/{SERVER}/{OLD}", f"cancelled/{SERVER}/{OLD}"]


def test_without_tries_there_is_nothing_to_remove(db: Connection) -> None:
    ids = housekeeping.attempts_from_before(db, BEFORE)
    assert housekeeping.remove_attempts(db, BEFORE, ids) == 0


def records(db: Connection) -> set[UUID]:
    return set(db.execute(select(tables.runs.c.id)).scalars())


def test_records_stay_that_are_young_not_over_or_a_flows_last_for_a_whole_period(db: Connection) -> None:
    for outcome in ("completed", "failed", "refused", "crashed", "superseded"):
        ran(db, "deliver-outbox", OLD, outcome)
    ran(db, "charge-run", OLD, whole=False)
    ran(db, "charge-run", OLD, dry_run=True)
    ran(db, "charge-run", OLD - timedelta(days=9))
    ran(db, "charge-run", OLD, business_date=DAY - timedelta(days=1))
    stay = {
        ran(db, "charge-run", OLD - timedelta(days=8)),
        ran(db, "deliver-outbox", YOUNG),
        ran(db, "deliver-outbox", OLD, "running"),
        ran(db, "daily-expiry-sweep", OLD, "waiting"),
    }
    assert housekeeping.old_runs(db, BEFORE) == 9
    assert [housekeeping.remove_runs(db, BEFORE, 5) for _ in range(3)] == [5, 4, 0]
    assert records(db) == stay


NAMING = sorted(
    {
        table.name
        for table in tables.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table is tables.runs
    }
)
"""Every table that names a run."""


def test_a_record_stays_that_a_row_of_any_table_names(db: Connection) -> None:
    """In place of each table stands one that asks for nothing else."""
    named, _ = ran(db, "f", OLD, "failed"), ran(db, "f", OLD, "failed")
    for table in NAMING:
        with db.begin_nested() as attempt:
            db.execute(text(f"CREATE TEMP TABLE {table} AS SELECT cast('{named}' AS uuid) AS run_id"))
            assert housekeeping.old_runs(db, BEFORE) == 1, table
            assert housekeeping.remove_runs(db, BEFORE, 5) == 1, table
            assert records(db) == {named}, table
            attempt.rollback()


def test_sizes_are_of_the_tables_that_are_kept_short(db: Connection) -> None:
    assert set(housekeeping.stock(db)) == {"message_attempts", "runs"}
