"""Reads the mails in which customers answer that they want no more mailings."""

from datetime import date

from prefect import flow

from flows.business_day import now, scheduled_day, scheduled_minute
from lifecycle.rules.runs import Summary
from tasks.process_unsubscribes import NOT_READ, process_inbox
from tasks.runs import recorded


def _run_name() -> str:
    return f"process-unsubscribes {scheduled_minute()}"


@flow(name="process-unsubscribes", flow_run_name=_run_name, result_serializer="json")
def process_unsubscribes(business_date: date | None = None, dry_run: bool = False) -> Summary:
    """Record what the mails at LIFECYCLE_UNSUBSCRIBE_INBOX ask for.

    - The token in a mail's subject says to which mailing it answers; bodies, which quote our own mails, are not read.
    - Its customer's consents to bulk mail end with the business date, and an objection to bulk mail is recorded.
    - What is queued for the customer is then cancelled instead of sent. A consent given on a later day holds.
    - A mail that is read twice, and a second mail of the same day, add nothing.
    - A mail is removed for good when what it asks for is recorded; one without a token of ours is left for a person.
    - Without an inbox there is nothing to do, and the run says so. A copy of another installation leaves it alone.
    - Where the inbox cannot be read the run fails; what was recorded until then stays recorded.

    Args:
        business_date: The day from which mailings end. Empty: the day for which the run was scheduled.
        dry_run: Only say what would be recorded; no mail is removed.
    """
    day = business_date or scheduled_day()
    with recorded("process-unsubscribes", day, dry_run=dry_run) as summary:
        summary.failed.update(NOT_READ.values())
        summary.counts.update(process_inbox(day, now(), summary.run_id, dry_run=dry_run))
    return summary
