"""Switches on or off that a channel asks for a consent."""

from datetime import date
from typing import Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, today
from lifecycle.rules.consents import effect
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.runs import Summary
from tasks.consents import By, set_switch
from tasks.runs import recorded


def _run_name() -> str:
    given = flow_run.parameters
    how = "asks" if given["asks"] else "asks no more"
    return f"set-contact-switch {given['channel']} {how} {given['from_on'] or today()}"


@flow(name="set-contact-switch", flow_run_name=_run_name, result_serializer="json")
def set_contact_switch(
    channel: Literal["bulk", "single", "contact"],
    *,
    # Without a default the form takes a switch that nobody touched for no answer.
    asks: bool = True,
    operator: str,
    from_on: date | None = None,
    dry_run: bool = False,
) -> Summary:
    """Let a channel ask for a consent from a day on, or no longer. By default each does.

    - single: whether a mail to one customer without a valid consent needs a motive.
    - bulk: whether bulk mail goes only to customers with a valid consent that allows it.
    - contact: whether a call without a valid consent needs a motive.
    - An objection holds whether the channel asks or not.
    - It changes nothing of the past; what holds already is left as it is.

    Args:
        channel: single: mails to one customer. bulk: mailings. contact: calls.
        asks: Whether it asks for a consent.
        operator: The code of whoever changes it.
        from_on: The first day on which it holds. Empty: today.
        dry_run: Only say what would change.
    """
    day = today()
    with recorded("set-contact-switch", day, dry_run=dry_run) as summary:
        since = from_on or day
        by = By(operator.strip(), summary.run_id, day, now())
        changes = set_switch(ContactChannel(channel), asks, since, by, dry_run=dry_run)
        summary.counts.update({"changed": int(changes), "unchanged": int(not changes)})
        summary.notes.append(f"from {since} on: {effect(ContactChannel(channel), asks=asks)}")
    return summary
