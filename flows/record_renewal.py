"""Records that a subscription was renewed."""

from datetime import date

from prefect import flow

from flows.business_day import now, scheduled_day
from flows.deliver_outbox import deliver_now
from lifecycle.rules.runs import Summary
from tasks.record_renewal import renew
from tasks.runs import recorded


@flow(name="record-renewal", flow_run_name="record-renewal {subscription} {expires_on}", result_serializer="json")
def record_renewal(
    subscription: str, expires_on: date, business_date: date | None = None, dry_run: bool = False
) -> Summary:
    """Renew a subscription to a new expiry.

    - The new term starts on the day after the present expiry, however late it is recorded.
    - A licence whose access was disabled gets it back at once, and no notice about the old lapse leaves any more.
    - Recording the same renewal again changes nothing.
    - A membership that was withdrawn from is not renewed: one sells anew.

    Args:
        subscription: The subscription's code.
        expires_on: The new expiry, the last day on which it will be valid.
        business_date: The day of the renewal. Empty: the day for which the run was scheduled.
        dry_run: Only say what would be recorded.
    """
    day = business_date or scheduled_day()
    with recorded("record-renewal", day, dry_run=dry_run) as summary:
        summary.counts.update(renew(subscription, expires_on, day, now(), summary.run_id, dry_run=dry_run))
        if not dry_run:
            deliver_now(summary)
    return summary
