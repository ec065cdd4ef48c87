"""What is kept for a time only: tries to deliver what is settled, and the records of runs that nothing rests on.

Safety case. Never removed: a try of a message that is not settled, by which it is told whether it was sent; a try that
put a mail into a folder, by which an erasure finds it; a run that a row names as its cause, that has not ended or that
waits; a flow's last run for a whole period, by which it is told what has been missed. Each portion is a transaction;
killed between two of them, the next run goes on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lifecycle.persistence.tables import metadata, runs

_ATTEMPTS = """
    SELECT message_attempts.id FROM message_attempts JOIN messages ON messages.id = message_id
    WHERE message_attempts.id >= :first AND message_attempts.id < :end
        AND started_at < :before AND carrier NOT LIKE 'maildir:%' AND state IN ('sent', 'cancelled')"""

_REFERENCES = sorted(
    (table.name, key.parent.name)
    for table in metadata.sorted_tables
    for key in table.foreign_keys
    if key.column.table is runs
)
"""The tables and columns that name a run."""

# Joined by AND: each table is read once. As one condition, each would be searched for each run.
_UNNAMED = " AND ".join(f"NOT EXISTS (SELECT FROM {table} WHERE {column} = runs.id)" for table, column in _REFERENCES)

_RUNS = f"""
    SELECT id FROM runs
    WHERE started_at < :before AND outcome NOT IN ('running', 'waiting') AND id NOT IN (
            SELECT DISTINCT ON (flow) id FROM runs
            WHERE outcome = 'completed' AND whole AND NOT dry_run ORDER BY flow, business_date DESC, started_at DESC)
        AND {_UNNAMED}"""

STORES = ("message_attempts", "runs")


def attempts_from_before(db: Connection, moment: datetime) -> range:
    """The ids of the tries from before that moment: they grow with time, so what is younger need not be looked at."""
    first, end = db.execute(
        text("""
        SELECT coalesce(min(id), 0), coalesce(
            (SELECT id FROM message_attempts WHERE started_at >= :moment ORDER BY id LIMIT 1), max(id) + 1, 0)
        FROM message_attempts"""),
        {"moment": moment},
    ).one()
    return range(first, end)


def old_attempts(db: Connection, before: datetime, ids: range) -> int:
    """How many of them may go."""
    asked = {"before": before, "first": ids.start, "end": ids.stop}
    number: int = db.execute(text(f"SELECT count(*) FROM ({_ATTEMPTS}) AS old"), asked).scalar_one()
    return number


def remove_attempts(db: Connection, before: datetime, ids: range) -> int:
    """Remove those of them that may go. Returns how many that were."""
    asked = {"before": before, "first": ids.start, "end": ids.stop}
    return db.execute(text(f"DELETE FROM message_attempts WHERE id IN ({_ATTEMPTS})"), asked).rowcount


def old_runs(db: Connection, before: datetime) -> int:
    """How many runs from before that moment may go."""
    number: int = db.execute(text(f"SELECT count(*) FROM ({_RUNS}) AS old"), {"before": before}).scalar_one()
    return number


def remove_runs(db: Connection, before: datetime, most: int) -> int:
    """Remove so many of them at the most. Returns how many that were."""
    # PostgreSQL looks for each in all tables that name runs. Where few runs have written most rows of a table, it
    # would rather read the whole table for each.
    db.execute(text("SET LOCAL enable_seqscan = off"))
    asked = {"before": before, "most": most}
    return db.execute(text(f"DELETE FROM runs WHERE id IN ({_RUNS} LIMIT :most)"), asked).rowcount


def stock(db: Connection) -> Mapping[str, tuple[int, int]]:
    """Of each of these tables, how many rows there are by estimate, and how many MB they take."""
    rows: Any = db.execute(
        text("""
        SELECT relname, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) / 1000000 FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname = ANY(:tables)"""),
        {"tables": list(STORES)},
    )
    return {name: (number, size) for name, number, size in rows}
