"""Contacts one customer: a mail to it alone, or the permission to telephone."""

from typing import Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import today
from flows.deliver_outbox import deliver_now
from flows.import_records import describe_findings
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.contact_customer import NO_MOTIVE, Wish, choice_of
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import Summary, Table
from tasks.contact_customer import UNSENT, contact
from tasks.runs import blank, recorded

ONCE = {
    ContactChannel.SINGLE: "the same mail (customer, motive, subject and text) goes once a day",
    ContactChannel.CONTACT: "one call is permitted; the next one needs a permission of its own",
}


@flow(
    name="contact-customer",
    flow_run_name="contact-customer {customer} {channel}",
    result_serializer="json",
    validate_parameters=False,
)
def contact_customer(
    customer: str,
    channel: Literal["single", "contact"],
    *,
    motive: str = NO_MOTIVE,
    subject: str = "",
    body: str = "",
    operator: str,
    dry_run: bool = False,
) -> Summary:
    """Send a mail to one customer, or permit a call to it.

    - Without a valid consent that allows it, a motive must be chosen: else nothing happens but that it is said.
    - A customer that objected is contacted only where the law or the contract asks for it.
    - The same mail to the same customer is one mail a day, however often it is asked for.
    - The permission to telephone is the entry in the contact log: each call needs its own.
    - What the customer says until the mail is sent counts: it is cancelled where nothing allows it any more.

    Args:
        customer: The customer's code.
        channel: single: one mail. contact: the permission to telephone now.
        motive: Why it is done without a valid consent.
        subject: Of the mail, one line; empty for a call.
        body: The mail as plain text, in which values such as {{ customer_name }} can be used; empty for a call.
        operator: The code of whoever contacts the customer.
        dry_run: Only say whether it is allowed, and on what it would rest.
    """
    blank()
    # Where they do not fit, Prefect writes all of them into state and log: so only now, and without the texts.
    contact_customer.validate_parameters(flow_run.parameters | {"subject": "", "body": ""})
    wish = Wish(customer, ContactChannel(channel), choice_of(motive), operator.strip(), subject, body)
    day = today()
    with recorded("contact-customer", day, dry_run=dry_run) as summary:
        try:
            counts, grounds = contact(wish, day, summary.run_id, flow_run.id, dry_run=dry_run)
        except BadInput as refused:
            describe_findings(summary, refused.findings, refused.total)
            raise
        summary.counts.update(counts)
        summary.failed.update(UNSENT)
        summary.tables.append(
            Table("What it rests on", ("customer", "channel", "basis"), [(customer, channel, grounds)])
        )
        summary.notes.append(ONCE[wish.channel])
        if wish.channel is ContactChannel.SINGLE and not dry_run:
            deliver_now(summary)
    return summary
