"""Who looks after a customer: one change, in one transaction."""

from datetime import date, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import associations
from lifecycle.persistence.database import transaction
from lifecycle.rules.associations import Action, NotAssociated, change
from lifecycle.rules.findings import BadInput, Finding
from tasks.retries import transient


@task(cache_policy=NO_CACHE, **transient)
def associate(reseller: str, customer: str, action: Action, on: date, now: datetime, *, dry_run: bool) -> int:
    """Record the change, known since `now`. Returns how many versions were added; none, if it is so already.

    Raises BadInput for codes that are nobody's, and for an association to end that there is not.
    """
    with transaction() as db:
        reseller_id, customer_id = associations.ids(db, reseller, customer)
        findings = [
            Finding(where, f"{code!r} is no {where}'s code", "a code")
            for where, code, found in (("reseller", reseller, reseller_id), ("customer", customer, customer_id))
            if found is None
        ]
        if findings or customer_id is None:
            raise BadInput(findings)
        try:
            versions = change(action, reseller, on, associations.latest(db, customer_id, on))
        except NotAssociated as error:
            raise BadInput([Finding("customer", str(error), "the reseller that looks after it on that day")]) from error
        associations.record(db, customer_id, versions, now)
        if dry_run:
            db.rollback()
    return len(versions)
