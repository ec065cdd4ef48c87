"""The import of a large business, beside a COPY of the same rows into such tables, and of the files into bare ones."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from deployments import sample
from lifecycle.persistence.database import transaction
from lifecycle.persistence.tables import metadata
from lifecycle.settings import settings
from tasks.import_records import import_files
from tests.benchmarks.measuring import Figure, Stopwatch, peak_memory

FILES = ("resellers", "customers", "products", "associations", "subscriptions", "terms")
TABLES = [table for table in metadata.sorted_tables if table.name in FILES]


def bench(scale: float) -> list[Figure]:
    subscriptions = max(1_000, round(1_000_000 * scale))
    bare, first, again, such, owed = (Stopwatch() for _ in range(5))
    folder = settings().home / "large"
    sample.write_large(folder, max(1, round(1_000 * scale)), subscriptions, subscriptions // 10)
    with transaction() as db, bare.running():
        _copy_files(db, folder)
        db.rollback()
    with first.running():
        import_files.fn(folder, datetime.now(UTC), dry_run=False)
    with again.running():
        import_files.fn(folder, datetime.now(UTC), dry_run=False)
    peak = peak_memory()
    with transaction() as db:
        _copy_out(db, folder)
    with transaction() as db, such.running():
        _copy_rows(db, folder)
        db.rollback()
    plans = _plans(folder, subscriptions)
    with owed.running():
        import_files.fn(plans, datetime.now(UTC), dry_run=False)
    customers = f"{subscriptions:,} customers with a licence"
    keyed, plain = "COPY of the rows, same keys and indexes", "COPY of the files, no keys nor indexes"
    return [
        Figure(f"{customers} imported", first.seconds, "s", keyed, such.seconds),
        Figure("  the same", first.seconds, "s", plain, bare.seconds),
        Figure(f"{customers} imported again", again.seconds, "s", plain, bare.seconds),
        Figure("  peak memory", peak, "MB"),
        Figure(f"{subscriptions:,} instalments imported", owed.seconds, "s"),
    ]


def _plans(folder: Path, instalments: int) -> Path:
    """So many instalments, twelve for each of the first subscriptions: all of these are memberships now."""
    with transaction() as db:
        db.execute(text("UPDATE products SET policy = 'membership'"))
        held = db.execute(
            text("SELECT code FROM subscriptions ORDER BY id LIMIT :number"), {"number": instalments // 12}
        )
        file = folder / "instalments.csv"
        rows = (f"{code},2026-{month:02}-01,12.20\n" for code in held.scalars() for month in range(1, 13))
        file.write_text("subscription,due_on,amount\n" + "".join(rows))
    return file


def _copy_files(db: Connection, folder: Path) -> None:
    for name in FILES:
        path = folder / f"{name}.csv"
        with path.open("rb") as file:
            columns = file.readline().decode().strip().split(",")
        db.execute(text(f"CREATE TABLE bare_{name} ({', '.join(f'{column} text' for column in columns)})"))
        _copy_in(db, f"COPY bare_{name} FROM STDIN (FORMAT csv, HEADER)", path)


def _copy_out(db: Connection, folder: Path) -> None:
    driver: Any = db.connection.driver_connection
    for table in TABLES:
        with (
            (folder / f"{table.name}.rows").open("wb") as file,
            driver.cursor() as cursor,
            cursor.copy(f"COPY (SELECT * FROM {table.name} ORDER BY id) TO STDOUT") as rows,
        ):
            file.writelines(rows)


def _copy_rows(db: Connection, folder: Path) -> None:
    for table in TABLES:
        db.execute(text(f"CREATE TABLE such_{table.name} (LIKE {table.name} INCLUDING ALL)"))
        for reference in table.foreign_keys:
            key = f"FOREIGN KEY ({reference.parent.name}) REFERENCES such_{reference.column.table.name}"
            db.execute(text(f"ALTER TABLE such_{table.name} ADD {key}"))
        _copy_in(db, f"COPY such_{table.name} FROM STDIN", folder / f"{table.name}.rows")


def _copy_in(db: Connection, statement: str, path: Path) -> None:
    driver: Any = db.connection.driver_connection
    with path.open("rb") as file, driver.cursor() as cursor, cursor.copy(statement) as rows:
        while block := file.read(1 << 17):
            rows.write(block)
