"""The daily sweep over a large base: a day with nothing due, and one with very many licences to disable."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text

from flows.daily_expiry_sweep import PORTION
from flows.deliver_outbox import CONNECTIONS
from flows.portions import WORKERS
from lifecycle.persistence import database, runs
from lifecycle.rules.licence_expiry import Step
from tasks import daily_expiry_sweep
from tasks.delivery import deliver
from tasks.provisioning import CALLED, call
from tests.benchmarks.measuring import Figure, Stopwatch, bare_insert, peak_memory

DAY = date(2019, 10, 1)
QUIET = date(2019, 8, 15)
"""Nothing is due, and nothing in the fortnight after it either."""

EVE = date(2019, 9, 30)
"""Nothing is due, and very much in the fortnight after it."""

# One licence in twenty lapsed half a year before DAY and was warned; as many were disabled a year ago.
_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    SELECT 'LIC-' || i, 'Licence ' || i, 'licence', 12, 100, 'EUR', 22 FROM generate_series(0, 2) AS i""",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'company', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', 'it'
    FROM generate_series(1, :licences) AS i""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, reference, quantity, auto_renew, charge_method)
    SELECT 'L' || id, id, 1 + id % 3, '2015-01-01', 'Seat ' || id % 7, 1, false, 'transfer' FROM customers""",
    """
    INSERT INTO subscription_status (subscription_id, status, expires_on, due_on)
    SELECT id, CASE id % 20 WHEN 1 THEN 'disabled' ELSE 'active' END, expires_on,
        CASE id % 20 WHEN 0 THEN :day WHEN 1 THEN NULL ELSE (expires_on + interval '3 months')::date + 1 END
    FROM subscriptions CROSS JOIN LATERAL (SELECT CASE id % 20
        WHEN 0 THEN date '2019-03-31' WHEN 1 THEN date '2018-03-31' ELSE :day + (id % 365)::int END AS expires_on
    ) AS licence""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, expires_on - before - 365, expires_on - before, '2015-01-01'
    FROM unnest(ARRAY[365, 0]) AS before, subscription_status""",
    "INSERT INTO runs (id, flow, business_date, dry_run) VALUES (:run_id, 'daily-expiry-sweep', '2019-07-01', false)",
    """
    INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id)
    SELECT subscription_id, terms.id, 'disabled', 'expired-6-months', '2018-10-01', :run_id
    FROM subscription_status JOIN terms USING (subscription_id, expires_on) WHERE status = 'disabled'""",
    """
    INSERT INTO messages (
        key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id,
        motive, basis, asked_on)
    SELECT prefix || subscriptions.code || '/' || expires_on, prefix, channel, 'sent', coalesce(email, ''), name,
        customer_id, subscription_id, (expires_on + interval '3 months')::date + 1, :run_id,
        'contract', CASE channel WHEN 'mail' THEN 'duty' END, (expires_on + interval '3 months')::date + 1
    FROM (VALUES
        ('customer-notice/expired-3m/', 'mail', date '2019-03-31'),
        ('customer-notice/expired-3m/', 'mail', date '2018-03-31'),
        ('customer-notice/expired-6m/', 'mail', date '2018-03-31'),
        ('access/disabled/', 'call', date '2018-03-31')) AS earlier (prefix, channel, expires_on)
    JOIN subscription_status USING (expires_on)
    JOIN subscriptions ON subscriptions.id = subscription_id
    JOIN customers ON customers.id = customer_id""",
)

# The tables that the sweep adds rows to, each with what tells its rows.
_ADDED = {
    "plan_steps": "plan_id = :plan",
    "transitions": "run_id = :run_id",
    "messages": "run_id = :run_id",
}


def bench(scale: float) -> list[Figure]:
    licences, sent = max(2_000, round(1_000_000 * scale)), max(100, round(2_000 * scale))
    _fill(licences)
    figures = _quiet_days(licences) + _busy_day()
    _due_first(sent)
    return [
        *figures,
        Figure(f"notices written to a mail folder by {CONNECTIONS} threads", _delivery(deliver.fn, "sent", sent), "/s"),
        Figure(f"calls recorded by {CONNECTIONS} threads", _delivery(call.fn, CALLED, sent), "/s"),
    ]


def _fill(licences: int) -> None:
    facts = {"licences": licences, "day": DAY, "run_id": uuid4()}
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), facts)
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _quiet_days(licences: int) -> list[Figure]:
    counting = _seconds(_count)
    works: dict[str, Callable[[], object]] = {
        "sweep planned, nothing due": lambda: daily_expiry_sweep.make_plan.fn(QUIET, _run(QUIET), dry_run=False),
        f"  and {licences // 20:,} due tomorrow": lambda: daily_expiry_sweep.make_plan.fn(
            EVE, _run(EVE), dry_run=False
        ),
        "chart of expiries per month": lambda: daily_expiry_sweep.expiry_chart.fn(DAY),
    }
    return [
        Figure(name, 1000 * _seconds(work), "ms", f"SELECT count(*) of {licences:,} subscriptions", 1000 * counting)
        for name, work in works.items()
    ]


def _busy_day() -> list[Figure]:
    """Half of the portions are carried out one after the other, the other half as the task runner maps them."""
    run_id, now = _run(DAY), datetime.now(UTC)
    planning, alone, together = Stopwatch(), Stopwatch(), Stopwatch()
    with planning.running():
        outlook = daily_expiry_sweep.make_plan.fn(DAY, run_id, dry_run=False)
        plan = daily_expiry_sweep.approve.fn(outlook.plan.digest)
        portions = daily_expiry_sweep.cut.fn(plan, min(PORTION, outlook.cut_off // 8))
    peak, half = peak_memory(), len(portions) // 2

    def execute(portion: tuple[int, int]) -> Counter[str]:
        return daily_expiry_sweep.execute.fn(plan, portion, run_id, now)

    with alone.running():
        first = sum(map(execute, portions[:half]), Counter())
    with together.running(), ThreadPoolExecutor(WORKERS) as threads:
        second = sum(threads.map(execute, portions[half:]), Counter())
    assert first + second == {Step.DISABLE: outlook.cut_off, Step.TELL: outlook.cut_off}
    rows, bare = bare_insert(_ADDED, {"plan": plan.id, "run_id": run_id})
    # A disabling is three rows of a portion (a transition, a call, a notice) and two of the plan.
    return [
        Figure(f"plan of {outlook.cut_off:,} disablings (peak {peak:,.0f} MB)", planning.seconds, "s"),
        Figure("rows of a portion, one after the other", 3 * first[Step.DISABLE] / alone.seconds, "/s"),
        Figure(f"rows of a portion, by {WORKERS} threads", 3 * second[Step.DISABLE] / together.seconds, "/s"),
        Figure(
            f"all {rows:,} rows of the plan and its portions",
            rows / (planning.seconds + alone.seconds + together.seconds),
            "/s",
            "one INSERT of the same rows",
            rows / bare,
        ),
    ]


def _due_first(number: int) -> None:
    """Let so many notices and so many calls be due before all others."""
    with database.transaction() as db:
        db.execute(
            text("""
            UPDATE messages SET due_at = due_at - interval '1 day' WHERE id IN (
                SELECT id FROM (
                    SELECT id, row_number() OVER (PARTITION BY channel ORDER BY id) AS nth
                    FROM messages WHERE state = 'queued'
                ) AS waiting WHERE nth <= :number)"""),
            {"number": number},
        )


def _delivery(task: Callable[[int, datetime], Counter[str]], outcome: str, number: int) -> float:
    """Messages per second out of an outbox that holds many more."""
    watch, until = Stopwatch(), datetime.now(UTC) - timedelta(hours=12)
    with watch.running(), ThreadPoolExecutor(CONNECTIONS) as threads:
        counts = sum(threads.map(task, range(CONNECTIONS), [until] * CONNECTIONS), Counter())
    assert counts == {outcome: number}, counts
    return number / watch.seconds


def _run(day: date) -> UUID:
    run = uuid4()
    with database.transaction() as db:
        runs.start(db, run, daily_expiry_sweep.FLOW, day, dry_run=False, prefect_id=None)
    return run


def _count() -> None:
    with database.transaction() as db:
        db.execute(text("SELECT count(*) FROM subscriptions"))


def _seconds(work: Callable[[], object]) -> float:
    """The best of three."""
    watches = [Stopwatch() for _ in range(3)]
    for watch in watches:
        with watch.running():
            work()
    return min(watch.seconds for watch in watches)
