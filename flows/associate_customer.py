"""Associates a customer with a reseller, or dissociates it, from a day on."""

from datetime import date
from typing import Literal

from prefect import flow

from flows.business_day import now
from lifecycle.rules.runs import Summary
from tasks.associate_customer import associate
from tasks.runs import recorded


@flow(
    name="associate-customer",
    flow_run_name="associate-customer {action} {customer} {reseller} {on}",
    result_serializer="json",
)
def associate_customer(
    reseller: str, customer: str, action: Literal["associate", "dissociate"], on: date, dry_run: bool = False
) -> Summary:
    """Change who looks after a customer, from a day on.

    - A dissociated customer is in none of its reseller's lists from that day on; it can be associated again.
    - Associating the customer of another reseller is a move: the other's association ends the day before.
    - What is so already is left as it is.

    Args:
        reseller: The reseller's code.
        customer: The customer's code.
        action: Associate, or dissociate.
        on: The first day on which it holds.
        dry_run: Only say what would be recorded.
    """
    with recorded("associate-customer", on, dry_run=dry_run) as summary:
        added = associate(reseller, customer, action, on, now(), dry_run=dry_run)
        summary.counts["changed"] = int(added > 0)
        summary.counts["unchanged"] = int(added == 0)
    return summary
