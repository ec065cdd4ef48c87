"""Plans of sweeps, and what became of them."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.rules.plans import Plan, PlanState, digest


def write(
    db: Connection,
    flow: str,
    business_date: date,
    run_id: UUID,
    steps: Sequence[tuple[int, str, date]],
    state: PlanState,
) -> Plan:
    """Write down a plan: (subscription, step, the expiry it is about)."""
    stamp = digest(business_date, steps)
    id_: int = db.execute(
        text("""
        INSERT INTO plans (flow, business_date, run_id, digest, state)
        VALUES (:flow, :business_date, :run_id, :digest, :state) RETURNING id"""),
        {"flow": flow, "business_date": business_date, "run_id": run_id, "digest": stamp, "state": state},
    ).scalar_one()
    subscriptions, names, expiries = map(list, zip(*steps, strict=True)) if steps else ([], [], [])
    db.execute(
        text("""
        INSERT INTO plan_steps (plan_id, subscription_id, step, expires_on)
        SELECT :plan, * FROM unnest(
            cast(:subscriptions AS bigint[]), cast(:steps AS text[]), cast(:expiries AS date[]))"""),
        {"plan": id_, "subscriptions": subscriptions, "steps": names, "expiries": expiries},
    )
    return Plan(id_, business_date, stamp, state)


def waiting(db: Connection, flow: str, stamp: str) -> Plan | None:
    """The plan of that digest that waits for a person, the latest of them; None: there is none."""
    row = db.execute(
        text("""
        SELECT id, business_date, digest, state FROM plans
        WHERE flow = :flow AND digest = :digest AND state = 'waiting' ORDER BY id DESC LIMIT 1"""),
        {"flow": flow, "digest": stamp},
    ).one_or_none()
    return Plan(row.id, row.business_date, row.digest, PlanState(row.state)) if row else None


def of_prefect_run(db: Connection, prefect_id: UUID) -> Plan | None:
    """The plan that this Prefect run wrote before it waited, or was started anew; the latest of them."""
    row = db.execute(
        text("""
        SELECT plans.id, plans.business_date, digest, state FROM plans JOIN runs ON runs.id = run_id
        WHERE prefect_flow_run_id = :prefect_id AND state IN ('waiting', 'approved') ORDER BY plans.id DESC LIMIT 1"""),
        {"prefect_id": prefect_id},
    ).one_or_none()
    return Plan(row.id, row.business_date, row.digest, PlanState(row.state)) if row else None


def move(db: Connection, plan: int, before: PlanState, after: PlanState) -> bool:
    """Move a plan on; False: it was not in the state `before`, somebody else has moved it."""
    moved = db.execute(
        text("UPDATE plans SET state = :after WHERE id = :plan AND state = :before"),
        {"plan": plan, "before": before, "after": after},
    )
    return moved.rowcount == 1


def portions(db: Connection, plan: int, at_once: int) -> list[tuple[int, int]]:
    """The plan's customers cut into ranges of ids, both ends included, of about `at_once` subscriptions each.

    A customer's subscriptions stay together: they can stand on one card, which is dealt with at one time.
    """
    rows = db.execute(
        text("""
        SELECT min(customer_id), max(customer_id) FROM (
            SELECT customer_id, (sum(planned) OVER (ORDER BY customer_id) - 1)::bigint / :at_once AS portion
            FROM (
                SELECT customer_id, count(DISTINCT subscription_id) AS planned
                FROM plan_steps JOIN subscriptions ON id = subscription_id WHERE plan_id = :plan GROUP BY customer_id
            ) AS customer
        ) AS numbered GROUP BY portion ORDER BY portion"""),
        {"plan": plan, "at_once": at_once},
    )
    return [(first, last) for first, last in rows]


def steps(db: Connection, plan: int, first: int, last: int) -> set[tuple[int, str, date]]:
    """The planned steps of one portion, a range of customers: (subscription, step, the expiry it is about)."""
    rows = db.execute(
        text("""
        SELECT subscription_id, step, expires_on FROM plan_steps JOIN subscriptions ON id = subscription_id
        WHERE plan_id = :plan AND customer_id BETWEEN :first AND :last"""),
        {"plan": plan, "first": first, "last": last},
    )
    return {(row.subscription_id, row.step, row.expires_on) for row in rows}
