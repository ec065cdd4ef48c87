"""The import of a large business, beside a bare COPY of the same files and of the same rows into such tables."""

import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from deployments import sample
from lifecycle.persistence.database import transaction
from lifecycle.persistence.tables import metadata
from tasks.import_records import import_files

FILES = ("resellers", "customers", "products", "associations", "subscriptions", "terms")
TABLES = [table for table in metadata.sorted_tables if table.name in FILES]


def bench(scale: float) -> list[tuple[str, float, float]]:
    """Import 1,000 resellers and 1,000,000 licences times `scale` into the configured database, which is empty.

    Returns name, seconds, and the ratio to the bare COPY: into tables without keys, references and indexes.
    """
    subscriptions = int(1_000_000 * scale)
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - begun

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample.write_large(folder, max(1, int(1_000 * scale)), subscriptions, subscriptions // 10)
        with transaction() as db:
            db.execute(text("SELECT 1"))
        with timed("bare COPY of the files"), transaction() as db:
            _copy_files(db, folder)
            db.rollback()
        with timed("first import"):
            import_files.fn(folder, datetime.now(UTC), dry_run=False)
        with timed("import of the same again"):
            import_files.fn(folder, datetime.now(UTC), dry_run=False)
        with transaction() as db:
            _copy_out(db, folder)
        with timed("COPY of the same rows into such tables"), transaction() as db:
            _copy_rows(db, folder)
            db.rollback()
    bare = seconds["bare COPY of the files"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [(f"{name} (peak {peak} MB)", taken, taken / bare) for name, taken in seconds.items()]


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
