"""One month's report for all resellers: stored, rendered, queued."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import repeat
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from sqlalchemy import text

from flows.monthly_reseller_report import PORTION_LINES
from lifecycle.persistence import database, runs
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rules.reseller_report import Mail, Standing, portions
from tasks import reseller_report
from tasks.reseller_report import Order
from tests.benchmarks.measuring import Figure, Stopwatch, peak_memory

DAY = date(2019, 9, 1)

_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    SELECT 'LIC-' || i, 'Licence ' || i, 'licence', 12, 100, 'EUR', 22 FROM generate_series(0, 2) AS i""",
    """
    INSERT INTO resellers (code, name, email, locale)
    SELECT 'R' || i, 'Reseller ' || i || ' & Co.', 'r' || i || '@example.org', (ARRAY['it', 'el', 'en'])[1 + i % 3]
    FROM generate_series(0, :resellers - 1) AS i""",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'company', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', 'it'
    FROM generate_series(0, :licences - 1) AS i""",
    """
    INSERT INTO associations (customer_id, reseller_id, from_on, recorded_at)
    SELECT customers.id, resellers.id, '2015-01-01', '2015-01-01'
    FROM customers JOIN resellers ON resellers.code = 'R' || (customers.id - 1) % :resellers""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, reference, quantity, auto_renew, charge_method)
    SELECT 'L' || id, id, 1 + id % 3, '2015-01-01', 'Seat ' || id % 7, 1, false, 'transfer' FROM customers""",
    # Each licence was renewed once; one of ten stands in a list, in each of the three as often.
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT id, expires_on - 729, expires_on - 365, '2015-01-01' FROM (
        SELECT id, CASE
            WHEN id / :resellers % 10 > 0 THEN '2020-01-01'
            WHEN id % 3 = 0 THEN date '2019-09-01' + (id / 30 % 61)::int
            WHEN id % 3 = 1 THEN date '2019-03-01' + (id / 30 % 92)::int
            ELSE date '2018-03-01' + (id / 30 % 365)::int END AS expires_on
        FROM subscriptions) AS licence""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, starts_on + 365, expires_on + 365, '2018-01-01' FROM terms""",
)


PROCESSES = 2


def bench(scale: float) -> list[Figure]:
    resellers, licences = max(10, round(1_000 * scale)), max(1_000, round(1_000_000 * scale))
    _fill(resellers, licences)
    order = _order()
    making, sql, mails, sheets, whole, split = (Stopwatch() for _ in range(6))
    with making.running():
        _, standings = reseller_report.make.fn(order, dry_run=False)
    with whole.running(), _timed(sql, mails, sheets):
        for portion in _portions(standings, Mail.QUEUE):
            _queue(order, portion)
    peak = peak_memory()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        list(processes.map(_warm_up, range(PROCESSES)))
        with split.running():
            list(processes.map(_queue, repeat(order), _portions(standings, Mail.COPY)))

    lines, reports = sum(report.lines for report in standings), len(standings)
    each = 1_000 / reports  # ms per report and second
    bare = "INSERT .. SELECT of these lines alone"
    return [
        Figure(
            f"{lines:,} of {licences:,} licences put on {reports:,} lists", making.seconds, "s", bare, _bare_insert()
        ),
        Figure(f"one report of {lines // reports} lines rendered and queued", each * whole.seconds, "ms"),
        Figure("  its transactions", 100 * sql.seconds / whole.seconds, "%"),
        Figure("  its mail", 100 * mails.seconds / whole.seconds, "%"),
        Figure("  its XLSX", 100 * sheets.seconds / whole.seconds, "%"),
        Figure(f"  in {PROCESSES} processes", each * split.seconds, "ms", "in one", each * whole.seconds),
        Figure("  peak memory", peak, "MB"),
    ]


def _queue(order: Order, portion: dict[int, Mail]) -> None:
    counts = reseller_report.queue_mails.fn(order, portion)
    assert counts == Counter(portion.values()), counts


def _warm_up(_: int) -> None:
    """Starting a process takes seconds, once for all its portions."""
    database.configured()


def _fill(resellers: int, licences: int) -> None:
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), {"resellers": resellers, "licences": licences})
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _order() -> Order:
    run = uuid4()
    with database.transaction() as db:
        runs.start(db, run, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
    return Order(DAY, datetime(2019, 9, 1, 4, tzinfo=UTC), run, None, DAY)


def _portions(standings: list[Standing], mail: Mail) -> Iterator[dict[int, Mail]]:
    for portion in portions(standings, PORTION_LINES):
        yield {report.id: mail for report in portion}


def _bare_insert() -> float:
    """Seconds to store the lines again, with nothing to find: same columns, keys and checks."""
    watch = Stopwatch()
    with database.transaction() as db:
        db.execute(
            text("""
            CREATE TABLE lines (LIKE reseller_report_lines INCLUDING ALL,
                FOREIGN KEY (report_id) REFERENCES reseller_reports,
                FOREIGN KEY (subscription_id) REFERENCES subscriptions)""")
        )
    with watch.running(), database.transaction() as db:
        db.execute(text("INSERT INTO lines SELECT * FROM reseller_report_lines"))
    return watch.seconds


@contextmanager
def _timed(sql: Stopwatch, mails: Stopwatch, sheets: Stopwatch) -> Iterator[None]:
    """Times the transactions (there is nothing but SQL in them) and the two renderings."""

    @contextmanager
    def transaction() -> Iterator[Any]:
        with sql.running(), database.transaction() as db:
            yield db

    with (
        patch.object(reseller_report, "transaction", transaction),
        patch.object(rendering, "content", mails.running()(rendering.content)),
        patch.object(rendering, "workbook", sheets.running()(rendering.workbook)),
    ):
        yield
