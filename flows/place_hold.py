"""Places a hold on a customer: it is not erased until the hold has ended."""

from prefect import flow

from flows.business_day import Day, now, scheduled_day
from lifecycle.rules.holds import Hold
from lifecycle.rules.runs import Summary
from tasks.place_hold import place
from tasks.runs import blank, recorded


@flow(name="place-hold", flow_run_name="place-hold {customer} {until}", result_serializer="json")
def place_hold(customer: str, reason: str, until: Day, operator: str, dry_run: bool = False) -> Summary:
    """Keep a customer from being erased, up to and including a day; from the next day on nothing holds it.

    - A hold is known by its reason, to the letter: placed again with another day it is prolonged or shortened.
    - Placed again until yesterday it ends at once; `lifecycle show customer` shows the holds there are.
    - What was recorded already is left as it is; nothing is ever overwritten.
    - The reason is taken out of the run as soon as it begins: it can name people.

    Args:
        customer: The customer's code.
        reason: Why it must not be erased, in one line. A run that is started again needs it anew.
        until: The last day on which it is not erased.
        operator: The code of whoever places the hold.
        dry_run: Only say what would be recorded.
    """
    blank()
    day = scheduled_day()
    with recorded("place-hold", day, dry_run=dry_run) as summary:
        hold = Hold.asked(reason, until, operator)
        summary.counts[place(customer, hold, day, summary.run_id, now(), dry_run=dry_run)] = 1
    return summary
