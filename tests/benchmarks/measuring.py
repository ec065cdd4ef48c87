"""What the benchmarks share: where they run, a stopwatch, and a figure as the table shows it."""

import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

from sqlalchemy import text

from lifecycle.persistence import database
from lifecycle.persistence.tables import metadata


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `reference` names what was measured beside it in the same run, `against` is its value."""

    name: str
    value: float
    unit: str
    reference: str = ""
    against: float | None = None


def measured(name: str, scale: float, home: str) -> list[Figure]:
    """The figures of one benchmark, at `scale` of its full size, in a new installation under `home`.

    It has a PostgreSQL cluster of its own, as durable as one in use, that ends with this process.
    """
    os.environ["LIFECYCLE_HOME"] = home
    os.environ.pop("LIFECYCLE_DATABASE_URL", None)
    figures: list[Figure] = import_module(f"tests.benchmarks.{name}").bench(scale)
    return figures


class Stopwatch:
    """Adds up the seconds of all blocks that run under it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds += perf_counter() - started


def peak_memory() -> float:
    """The most memory that this process has had resident, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def bare_insert(added: Mapping[str, str], ours: Mapping[str, Any]) -> tuple[int, float]:
    """Insert the rows that a run added again, in one statement, into tables such as theirs.

    Same columns, keys, checks and indexes, over the same older rows. `added` are the tables, each with what tells the
    run's rows by the values of `ours`. Returns how many rows, and the seconds.
    """
    watch = Stopwatch()
    with database.transaction() as db:
        for table, which in added.items():
            db.execute(text(f"CREATE UNLOGGED TABLE our_{table} AS SELECT * FROM {table} WHERE {which}"), ours)
            db.execute(text(f"CREATE TABLE such_{table} (LIKE {table} INCLUDING ALL)"))
            db.execute(text(f"INSERT INTO such_{table} SELECT * FROM {table} WHERE NOT ({which})"), ours)
            for key in metadata.tables[table].foreign_keys:
                other = key.column.table.name
                db.execute(text(f"ALTER TABLE such_{table} ADD FOREIGN KEY ({key.parent.name}) REFERENCES {other}"))
        counts = ", ".join(f"(SELECT count(*) FROM our_{table})" for table in added)
        rows = sum(db.execute(text(f"SELECT {counts}")).one())
    *others, last = (f"INSERT INTO such_{table} SELECT * FROM our_{table}" for table in added)
    beside = ", ".join(f"i{number} AS ({insert})" for number, insert in enumerate(others))
    with watch.running(), database.transaction() as db:
        db.execute(text(f"WITH {beside} {last}"))
    return rows, watch.seconds
