"""A renewal recorded by hand: term, status, transition and call in one transaction."""

from collections import Counter
from datetime import date, datetime
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import renewals
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, refresh
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.renewals import NotLater, next_term
from lifecycle.rules.subscriptions import Status
from tasks.provisioning import calls_on
from tasks.retries import transient


@task(cache_policy=NO_CACHE, **transient)
def renew(
    subscription: str, expires_on: date, day: date, now: datetime, run_id: UUID, *, dry_run: bool
) -> Counter[str]:
    """Renew the subscription of that code to `expires_on`. Returns counts of what was recorded.

    Raises BadInput for a code that is nobody's, for what is not renewed but sold anew, and for a day that is not later
    than the present expiry.
    """
    with transaction() as db:
        held = renewals.held(db, subscription)
        if held is None:
            raise BadInput([Finding("subscription", f"{subscription!r} is no subscription's code", "a code")])
        if held.status is Status.DELETED:
            raise BadInput([Finding("subscription", f"{subscription!r} was deleted", "one that is not: sell it anew")])
        if held.withdrawn_on:
            problem = f"{subscription!r} is withdrawn from, its last day is {held.withdrawn_on}"
            raise BadInput([Finding("subscription", problem, "one that is not: sell it anew")])
        if held.erased:
            raise BadInput([Finding("subscription", f"the customer of {subscription!r} was erased", "another one's")])
        try:
            term = next_term(held.expires_on, expires_on)
        except NotLater as error:
            raise BadInput([Finding("expires_on", str(error), "a later day")]) from error
        if term is None:
            return Counter({"renewed before": 1})
        renewals.add_term(db, held.id, *term, now)
        back = refresh(db, GIVEN, Learned(day, now, run_id, calls_on(day)), [held.id])
        if dry_run:
            db.rollback()
    return +Counter({"renewed": 1, "brought back": back})
