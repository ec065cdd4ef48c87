"""What became of an instalment: recorded in one transaction, once."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import settle_instalment as persistence
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.instalments import Settlement
from lifecycle.rules.settle_instalment import NotToSettle, becomes
from tasks.operators import unknown
from tasks.retries import transient


@dataclass(frozen=True, slots=True)
class Told:
    """What an operator says became of which instalment."""

    subscription: str
    due_on: date
    outcome: Settlement
    operator: str


@task(cache_policy=NO_CACHE, **transient)
def settle(told: Told, day: date, now: datetime, run_id: UUID, *, dry_run: bool) -> str:
    """Record it. Returns what became of the instalment, or "settled before": nothing has happened since it was said.

    Raises BadInput with everything that is wrong; then nothing is recorded.
    """
    with transaction() as db:
        subscription = persistence.subscription(db, told.subscription)
        standing = persistence.locked(db, subscription, told.due_on) if subscription else None
        findings = [] if standing else [_not_there(told, known=subscription is not None)]
        findings += unknown(db, told.operator)
        status = None
        if standing:
            try:
                status = becomes(standing, told.outcome)
            except NotToSettle as error:
                what = f"the instalment of {told.subscription} that was due on {told.due_on} {error}"
                findings.append(Finding("outcome", what, error.expected))
        if findings or not standing:
            raise BadInput(findings)
        if status is None:
            return "settled before"
        if not dry_run:
            persistence.settle(db, standing.id, status, told.outcome, told.operator, day, run_id, now)
    return f"{told.outcome}: now {status.replace('_', ' ')}"


def _not_there(told: Told, *, known: bool) -> Finding:
    if not known:
        return Finding("subscription", f"{told.subscription!r} is no subscription's code", "a membership's code")
    problem = f"no instalment of {told.subscription} is due on {told.due_on}"
    return Finding("due_on", problem, "the day of one that `lifecycle show customer` shows")
