"""Records that a customer does not want to be contacted."""

from typing import Literal

from prefect import flow

from flows.business_day import Day, now, scheduled_day
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.runs import Summary
from tasks.consents import By
from tasks.consents import record_objection as record
from tasks.runs import blank, recorded


@flow(name="record-objection", flow_run_name="record-objection {customer} {channel}", result_serializer="json")
def record_objection(
    customer: str,
    channel: Literal["bulk", "single", "contact"],
    objected_on: Day,
    operator: str,
    evidence: str = "",
    dry_run: bool = False,
) -> Summary:
    """Record an objection: "do not contact me".

    - It is stronger than any motive, except those that the law or a contract asks for.
    - It holds until the customer consents to the channel on a later day.
    - One customer, channel and day: one objection, however often it is recorded.
    - The evidence is taken out of the run as soon as it begins: it can name people.

    Args:
        customer: The customer's code.
        channel: What it does not want. bulk: mailings. single: mails to it alone. contact: calls.
        objected_on: The day on which it said so.
        operator: The code of whoever records it.
        evidence: How it was said. A run that is started again needs it anew.
        dry_run: Only say what would be recorded.
    """
    blank()
    day = scheduled_day()
    with recorded("record-objection", day, dry_run=dry_run) as summary:
        by = By(operator.strip(), summary.run_id, day, now())
        is_new, notes = record(customer, ContactChannel(channel), objected_on, evidence.strip(), by, dry_run=dry_run)
        summary.counts.update({"recorded": int(is_new), "unchanged": int(not is_new)})
        summary.notes += notes
    return summary
