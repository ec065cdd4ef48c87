"""Associates a customer with a reseller, or dissociates it, from a day on."""

from datetime import date
from typing import Literal

from prefect import flow


@flow(name="associate-customer")
def associate_customer(
    reseller: str, customer: str, action: Literal["associate", "dissociate"], on: date, dry_run: bool = False
) -> None:
    """Change who looks after a customer.

    Args:
        reseller: The reseller's code.
        customer: The customer's code.
        action: Associate, or dissociate.
        on: The first day on which it holds.
        dry_run: Only say what would be recorded.
    """
    raise NotImplementedError
