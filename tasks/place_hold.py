"""A hold on a customer: recorded in one transaction, once."""

from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import holds
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.holds import Hold
from tasks.operators import unknown
from tasks.retries import transient


@task(cache_policy=NO_CACHE, **transient)
def place(customer: str, hold: Hold, day: date, run_id: UUID, now: datetime, *, dry_run: bool) -> str:
    """Record the hold. Returns what that does, or `unchanged`: it was recorded already.

    Raises BadInput with everything that is wrong; then nothing is recorded.
    """
    with transaction() as db:
        held = holds.locked(db, customer)
        known = held.until.get(hold.reason) if held else None
        findings = [*hold.wrong(known, day), *unknown(db, hold.operator)]
        if held is None:
            findings.append(Finding("customer", f"{customer!r} is no customer's code", "a code"))
        elif held.erased:
            findings.append(Finding("customer", f"{customer!r} was erased", "one that was not"))
        if findings or held is None:
            raise BadInput(findings)
        if hold.until != known and not dry_run:
            holds.place(db, held.id, hold, run_id, now)
    return hold.effect(known, day)
