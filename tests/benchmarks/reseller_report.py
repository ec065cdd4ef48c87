"""One month's report for all resellers: stored, queued, written as it is sent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from sqlalchemy import text

from flows.deliver_outbox import CONNECTIONS
from lifecycle.persistence import database, outbox, runs
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rules.reseller_report import Mail
from lifecycle.settings import settings
from tasks import mails, reseller_report
from tasks.reseller_report import Order
from tests.benchmarks.delivery import delivery, sink
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


def bench(scale: float) -> list[Figure]:
    resellers, licences = max(10, round(1_000 * scale)), max(1_000, round(1_000_000 * scale))
    _fill(resellers, licences)
    order = _order()
    making, queueing, sql, texts, sheets, writing = (Stopwatch() for _ in range(6))
    with making.running():
        _, standings = reseller_report.make.fn(order, dry_run=False)
    lines, reports = sum(report.lines for report in standings), len(standings)
    with queueing.running():
        counts = reseller_report.queue_mails.fn(order, {report.id: Mail.QUEUE for report in standings})
    assert counts == {Mail.QUEUE: reports}, counts
    with outbox.delivering("UTC") as deliverer, _timed(sql, texts, sheets):
        for message in deliverer.claims(datetime.now(UTC), reports):
            with writing.running():
                mails.written(message)
    peak = peak_memory()
    with sink() as port:
        os.environ["LIFECYCLE_MAIL_URL"] = f"smtp://127.0.0.1:{port}?tls=none"
        settings.cache_clear()
        delivered = delivery(reports)

    each = 1_000 / reports  # ms per report and second
    bare = "INSERT .. SELECT of these lines alone"
    return [
        Figure(
            f"{lines:,} of {licences:,} licences put on {reports:,} lists", making.seconds, "s", bare, _bare_insert()
        ),
        Figure(f"mails of {reports:,} reports queued", queueing.seconds, "s"),
        Figure(f"one report of {lines // reports} lines written", each * writing.seconds, "ms"),
        Figure("  its SQL", 100 * sql.seconds / writing.seconds, "%"),
        Figure("  its mail", 100 * texts.seconds / writing.seconds, "%"),
        Figure("  its XLSX", 100 * sheets.seconds / writing.seconds, "%"),
        Figure("  peak memory", peak, "MB"),
        Figure(
            f"  written and sent over {CONNECTIONS} connections",
            delivered,
            "/s",
            "written alone",
            reports / writing.seconds,
        ),
    ]


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
def _timed(sql: Stopwatch, texts: Stopwatch, sheets: Stopwatch) -> Iterator[None]:
    """Times the transactions (there is nothing but SQL in them) and the two renderings."""

    @contextmanager
    def transaction() -> Iterator[Any]:
        with sql.running(), database.transaction() as db:
            yield db

    with (
        patch.object(mails, "transaction", transaction),
        patch.object(rendering, "content", texts.running()(rendering.content)),
        patch.object(rendering, "workbook", sheets.running()(rendering.workbook)),
    ):
        yield
