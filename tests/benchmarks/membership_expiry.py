"""The daily sweep of the first of a month: very many memberships to renew, each with an instalment."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text

from flows.daily_expiry_sweep import PORTION
from flows.portions import WORKERS
from lifecycle.persistence import database, runs
from lifecycle.rules.membership_expiry import Step
from tasks import daily_expiry_sweep
from tests.benchmarks.measuring import Figure, Stopwatch, bare_insert, peak_memory

DAY = date(2026, 6, 1)

# One subscription in five is a membership whose term ended on the day before; four in five are licences that go on.
_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    VALUES ('LIC', 'Licence', 'licence', 12, 100, 'EUR', 22), ('GOLD', 'Gold', 'membership', 1, 35, 'EUR', 22)""",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'person', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', 'it'
    FROM generate_series(1, :subscriptions) AS i""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, quantity, auto_renew, charge_method)
    SELECT 'S' || id, id, CASE id % 5 WHEN 0 THEN 2 ELSE 1 END, '2025-01-01', 1, id % 5 = 0, 'sepa' FROM customers""",
    """
    INSERT INTO subscription_status (subscription_id, expires_on, due_on)
    SELECT id, expires_on, CASE id % 5 WHEN 0 THEN :day ELSE (expires_on + interval '3 months')::date + 1 END
    FROM subscriptions CROSS JOIN LATERAL (
        SELECT CASE id % 5 WHEN 0 THEN :day - 1 ELSE :day + (id % 365)::int END AS expires_on) AS term""",
    # A year of months for each membership, and of instalments that were paid; two terms for each licence.
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, starts_on, (starts_on + interval '1 month')::date - 1, '2025-01-01'
    FROM generate_series(:day - interval '1 year', :day - interval '1 month', interval '1 month') AS starts_on,
        subscription_status WHERE subscription_id % 5 = 0""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT subscription_id, expires_on - before - 365, expires_on - before, '2025-01-01'
    FROM unnest(ARRAY[365, 0]) AS before, subscription_status WHERE subscription_id % 5 > 0""",
    """
    INSERT INTO instalments (subscription_id, due_on, amount, currency, status)
    SELECT subscription_id, starts_on, 42.70, 'EUR', 'paid' FROM terms WHERE subscription_id % 5 = 0""",
)

# The tables that the sweep adds rows to, each with what tells its rows.
_ADDED = {"plan_steps": "plan_id = :plan", "terms": "recorded_at = :now", "instalments": "run_id = :run_id"}


def bench(scale: float) -> list[Figure]:
    subscriptions = max(5_000, round(1_000_000 * scale))
    _fill(subscriptions)
    return [_quiet_day(), *_renewals(subscriptions // 5)]


def _fill(subscriptions: int) -> None:
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), {"subscriptions": subscriptions, "day": DAY})
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _quiet_day() -> Figure:
    """The day before: renewals of tomorrow are no news, and cost next to nothing."""
    eve, planning, counting = DAY - timedelta(days=1), Stopwatch(), Stopwatch()
    with planning.running():
        daily_expiry_sweep.make_plan.fn(eve, _run(eve), dry_run=False)
    with counting.running(), database.transaction() as db:
        number = db.execute(text("SELECT count(*) FROM subscriptions")).scalar_one()
    reference = f"SELECT count(*) of {number:,} subscriptions"
    return Figure(
        "sweep planned on the eve of many renewals", 1000 * planning.seconds, "ms", reference, 1000 * counting.seconds
    )


def _renewals(memberships: int) -> list[Figure]:
    run_id, now = _run(DAY), datetime.now(UTC)
    planning, working = Stopwatch(), Stopwatch()
    with planning.running():
        plan = daily_expiry_sweep.make_plan.fn(DAY, run_id, dry_run=False).plan
        portions = daily_expiry_sweep.cut.fn(plan, PORTION)
    peak = peak_memory()

    def execute(portion: tuple[int, int]) -> Counter[str]:
        return daily_expiry_sweep.execute.fn(plan, portion, run_id, now)

    with working.running(), ThreadPoolExecutor(WORKERS) as threads:
        assert sum(threads.map(execute, portions), Counter()) == {Step.RENEW: memberships}
    rows, bare = bare_insert(_ADDED, {"plan": plan.id, "run_id": run_id, "now": now})
    assert rows == 3 * memberships
    seconds = planning.seconds + working.seconds
    return [
        Figure(f"plan of {memberships:,} renewals (peak {peak:,.0f} MB)", planning.seconds, "s"),
        Figure(f"renewals with instalments, by {WORKERS} threads", memberships / working.seconds, "/s"),
        Figure(f"sweep of {memberships:,} renewals", seconds, "s", "one INSERT of the same rows", bare),
    ]


def _run(day: date) -> UUID:
    run = uuid4()
    with database.transaction() as db:
        runs.start(db, run, daily_expiry_sweep.FLOW, day, dry_run=False, prefect_id=None)
    return run
