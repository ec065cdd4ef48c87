"""What waits or is left over, as the tables know it: read, never written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from lifecycle.persistence import payments
from lifecycle.rules.health import LastRun, Matter, Standing

# Each is answered by a partial index, or from a table of few rows.
_STANDING = {
    Matter.OVERDUE: """
        SELECT count(*), min(due_at) FROM messages
        WHERE state = 'queued' AND channel IN ('mail', 'call') AND due_at <= :now""",
    # They leave at a pace: what counts is since when none has.
    Matter.MAILINGS: """
        SELECT number, greatest(since, (
            SELECT max(finished_at) FROM runs
            WHERE flow = 'deliver-outbox' AND started_at > since AND counts ? :mailings_sent))
        FROM (
            SELECT count(*) AS number, min(due_at) AS since FROM messages
            WHERE state = 'queued' AND channel = 'bulk' AND due_at <= :now
        ) AS waiting""",
    Matter.IN_DOUBT: "SELECT count(*), min(due_at) FROM messages WHERE state = 'in_doubt'",
    # Of a mailing, one address that is wrong is no reason to call anybody.
    Matter.FAILED: "SELECT count(*), min(due_at) FROM messages WHERE state = 'failed' AND channel <> 'bulk'",
    # A later plan of the same flow takes up what an older one has left.
    Matter.HELD: """
        SELECT count(*), min(recorded_at) FROM (
            SELECT DISTINCT ON (flow) state, recorded_at FROM plans ORDER BY flow, id DESC
        ) AS last WHERE state = 'waiting'""",
    Matter.WITHDRAWALS: "SELECT count(*), min(requested_at) FROM withdrawals WHERE state = 'waiting'",
    Matter.ERASURES: "SELECT count(*), min(shown_at) FROM erasures WHERE state = 'waiting'",
    Matter.NOT_ERASED: "SELECT count(*), min(approved_at) FROM erasures WHERE state = 'approved'",
    Matter.NOT_IN_LEDGER: "SELECT count(*), min(recorded_at) FROM erasure_portions WHERE ledger_page IS NULL",
    Matter.PAYMENTS: f"""
        SELECT count(*), min(recorded_at) FROM ({payments.UNASSIGNED}) AS unassigned JOIN payments USING (id)""",
    Matter.NOT_FILED: "SELECT count(*), min(recorded_at) FROM collections WHERE filed_at IS NULL",
    Matter.NO_END: "SELECT count(*), min(started_at) FROM runs WHERE outcome = 'running'",
}


def standing(db: Connection, now: datetime, mailings_sent: str) -> dict[Matter, Standing]:
    """What stands. `mailings_sent` is by what deliveries count the mails of mailings that they sent."""
    asked = {"now": now, "mailings_sent": mailings_sent}
    return {matter: Standing(*db.execute(text(query), asked).one()) for matter, query in _STANDING.items()}


def last_runs(db: Connection) -> dict[str, LastRun]:
    """Of each flow that has completed for a whole period."""
    rows = db.execute(
        text("""
        SELECT flow, ended.at, ended_for.day
        FROM (SELECT DISTINCT flow FROM runs) AS known
        CROSS JOIN LATERAL (
            SELECT finished_at AS at FROM runs
            WHERE runs.flow = known.flow AND outcome = 'completed' AND whole AND NOT dry_run
            ORDER BY started_at DESC LIMIT 1) AS ended
        CROSS JOIN LATERAL (
            SELECT business_date AS day FROM runs
            WHERE runs.flow = known.flow AND outcome = 'completed' AND whole AND NOT dry_run
            ORDER BY business_date DESC LIMIT 1) AS ended_for""")
    )
    return {row.flow: LastRun(row.at, row.day) for row in rows}


def installed_at(db: Connection) -> datetime:
    """When the database was first used."""
    moment: datetime = db.execute(text("SELECT recorded_at FROM installation")).scalar_one()
    return moment


@dataclass(frozen=True, slots=True)
class Sizes:
    """In MB of 1,000,000 bytes, indexes included; `tables` are the largest, with their numbers of rows as estimated."""

    database: int
    tables: list[tuple[str, int, int]]


def sizes(db: Connection, tables: int) -> Sizes:
    rows = db.execute(
        text("""
        SELECT relname, pg_total_relation_size(oid) / 1000000, greatest(reltuples, 0)::bigint FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        ORDER BY pg_total_relation_size(oid) DESC, relname LIMIT :tables"""),
        {"tables": tables},
    )
    whole: int = db.execute(text("SELECT pg_database_size(current_database()) / 1000000")).scalar_one()
    return Sizes(whole, [(name, size, number) for name, size, number in rows])


def counted_before(db: Connection, flow: str, now: datetime, ago: timedelta) -> Mapping[str, int]:
    """What the flow's last run of so long ago counted, which may be up to twice as long ago; empty: there is none."""
    found: Mapping[str, int] | None = db.execute(
        text("""
        SELECT counts FROM runs
        WHERE flow = :flow AND started_at BETWEEN :first AND :last AND outcome IN ('completed', 'failed')
        ORDER BY started_at DESC LIMIT 1"""),
        # A run starts some seconds sooner or later than the one before.
        {"flow": flow, "first": now - 2 * ago, "last": now - ago + timedelta(hours=1)},
    ).scalar()
    return found or {}
