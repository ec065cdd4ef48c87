"""The monthly reseller report: one mail per reseller with the three lists of its customers' licences."""

from typing import Annotated

from prefect import flow
from pydantic import Field


@flow(name="monthly-reseller-report")
def monthly_reseller_report(
    month: Annotated[str, Field(pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$")] = "",
    resellers: str = "all",
    deliver: bool = False,
    skip_empty: bool = False,
    resend: bool = False,
    dry_run: bool = False,
) -> None:
    """Report of one month.

    Args:
        month: The month to report, as YYYY-MM. Empty: the month for which the run was scheduled.
        resellers: Codes separated by commas, or "all".
        deliver: Send the reports of a past month too. The current month's are always sent.
        skip_empty: Do not send a report whose three lists are empty.
        resend: Send reports that were sent before once more, marked as a copy; at most one copy a day.
        dry_run: Only say what would be reported and sent; nothing is recorded.
    """
    raise NotImplementedError
