"""Records what a person learned from the bank or the payment provider about an instalment."""

from datetime import date
from typing import Literal

from prefect import flow

from flows.business_day import now, refuse_ahead, scheduled_day
from lifecycle.rules.instalments import Settlement
from lifecycle.rules.runs import Summary
from tasks.runs import recorded
from tasks.settle_instalment import Told, settle


@flow(name="settle-instalment", flow_run_name="settle-instalment {subscription} {due_on}", result_serializer="json")
def settle_instalment(
    subscription: str,
    due_on: date,
    outcome: Literal["paid", "returned", "refunded"],
    operator: str,
    business_date: date | None = None,
    dry_run: bool = False,
) -> Summary:
    """Say what became of an instalment of a membership.

    - Paid: it was due or submitted.
    - Returned: it is due again, and the next charge run charges it; of the time after a withdrawal, it is cancelled.
    - Refunded: it was to be refunded after a withdrawal, and is cancelled.
    - Said again, nothing is recorded; what does not fit is refused.
    - A day more than one ahead of today is refused, except as a dry run.

    Args:
        subscription: The membership's code.
        due_on: The day on which the instalment was due.
        outcome: What became of it.
        operator: The code of whoever says so.
        business_date: The day on which it became so. Empty: the day for which the run was scheduled.
        dry_run: Only say what would be recorded.
    """
    day = business_date or scheduled_day()
    with recorded("settle-instalment", day, dry_run=dry_run) as summary:
        if not dry_run:
            refuse_ahead(day)
        told = Told(subscription.strip(), due_on, Settlement(outcome), operator.strip())
        summary.counts[settle(told, day, now(), summary.run_id, dry_run=dry_run)] = 1
    return summary
