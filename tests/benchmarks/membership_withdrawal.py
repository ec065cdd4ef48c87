"""Withdrawals done one after the other among very many memberships, beside the bare writes that each takes.

Each is from a plan of 5 instalments, of which 1 stays owed and 2 are removed, by a mandate that nothing else uses.
"""

from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import text

from lifecycle.persistence import database
from lifecycle.rules.membership_withdrawal import Request
from tasks.membership_withdrawal import look, withdraw
from tests.benchmarks.measuring import Figure, Stopwatch
from tests.sweeping import started

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
LAST = date(2026, 3, 31)

_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    VALUES ('GYM', 'Gym', 'membership', 12, 100, 'EUR', 22)""",
    "INSERT INTO operators (code, name, email, administrator) VALUES ('anna', 'Anna', 'anna@example.com', false)",
    "INSERT INTO action_types (code, title, base_type, in_agenda) VALUES ('ENDS', 'Withdrawn', 'withdrawal', false)",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'person', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', 'it'
    FROM generate_series(1, :memberships) AS i""",
    """
    INSERT INTO mandates (code, customer_id, kind, iban, signed_on)
    SELECT 'RUM' || id, id, 'sepa', 'IT60X0542811101000000123456', '2026-01-01' FROM customers""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, quantity, auto_renew, charge_method, mandate_id)
    SELECT 'P' || customer_id, customer_id, 1, '2026-01-01', 1, false, 'sepa', id FROM mandates""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT id, '2026-01-01', '2026-12-31', '2026-01-01' FROM subscriptions""",
    """
    INSERT INTO subscription_status (subscription_id, expires_on, due_on)
    SELECT id, '2026-12-31', '2027-01-01' FROM subscriptions""",
    """
    INSERT INTO instalments (subscription_id, due_on, amount, currency, status)
    SELECT id, ('2026-01-05'::date + make_interval(months => i))::date, 24.40, 'EUR',
        CASE WHEN i < 2 THEN 'paid' ELSE 'due' END
    FROM subscriptions, generate_series(0, 4) AS i""",
)

# What one cannot do without: no locks, no looking, in one transaction for each. `:id` is customer, plan and mandate.
_ALONE = (
    """
    INSERT INTO crm_actions (id, customer_id, action_type, operator, note, business_date, run_id)
    OVERRIDING SYSTEM VALUE VALUES (:id + 1000000000, :id, 'ENDS', 'anna', 'Recesso', :day, :run)""",
    """
    INSERT INTO withdrawals (id, customer_id, withdrawn_on, action_type, operator, state, requested_at, done_at,
        crm_action_id, business_date, run_id)
    VALUES (lpad(:code, 32, '0')::uuid, :id, :last, 'ENDS', 'anna', 'done', now(), now(), :id + 1000000000, :day, :run)
    """,
    "INSERT INTO withdrawn_memberships VALUES (:id, lpad(:code, 32, '0')::uuid, '2026-12-31', 'EUR', 24.40, 48.80, 0)",
    "INSERT INTO terms (subscription_id, starts_on, expires_on) VALUES (:id, '2026-01-01', :last)",
    "UPDATE subscription_status SET expires_on = :last, due_on = :last + 1 WHERE subscription_id = :id",
    "UPDATE instalments SET status = 'cancelled' WHERE subscription_id = :id AND due_on > :last",
    "UPDATE mandates SET ended_on = :day WHERE id = :id",
    """
    INSERT INTO messages (key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts,
        motive, basis)
    SELECT 'bare/' || id, 'withdrawal-acknowledged', 'queued', email, name, id, :day, :run, '{}', 'contract', 'duty'
    FROM customers WHERE id = :id""",
)


def bench(scale: float) -> list[Figure]:
    memberships, number = max(4_000, round(200_000 * scale)), max(100, round(1_000 * scale))
    _fill(memberships)
    run = started("membership-withdrawal", DAY)
    # Far apart, so that no two are on one page.
    those = range(1, memberships + 1, memberships // (2 * number))[: 2 * number]
    doing, alone = Stopwatch(), Stopwatch()
    for half, watch, one in ((those[::2], doing, _withdraw), (those[1::2], alone, _bare)):
        with watch.running():
            for id_ in half:
                one(id_, run)
    return [
        Figure(
            f"withdrawals, of {memberships:,} memberships with {5 * memberships:,} instalments",
            number / doing.seconds, "/s", "the bare writes", number / alone.seconds,
        )
    ]  # fmt: skip


def _withdraw(id_: int, run: UUID) -> None:
    shown = look.fn(Request(f"C{id_}", (f"P{id_}",), "ENDS", LAST, "", "anna", ""), DAY)
    counts = withdraw.fn(shown, DAY, run, NOW, None)
    assert (counts["instalments removed"], counts["mandates ended"]) == (2, 1), counts


def _bare(id_: int, run: UUID) -> None:
    given = {"id": id_, "code": str(id_), "last": LAST, "day": DAY, "run": run}
    with database.transaction() as db:
        for statement in _ALONE:
            db.execute(text(statement), {name: value for name, value in given.items() if f":{name}" in statement})


def _fill(memberships: int) -> None:
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), {"memberships": memberships} if ":memberships" in statement else {})
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))
