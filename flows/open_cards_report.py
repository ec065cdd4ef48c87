"""Accounting's view of a day: open cards by age, credits, suspended services, payments that nobody assigned yet."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import scheduled_day, today
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import Summary
from tasks.open_cards_report import write_report
from tasks.runs import recorded


def _run_name() -> str:
    return f"open-cards-report {flow_run.parameters['on'] or scheduled_day()}"


@flow(name="open-cards-report", flow_run_name=_run_name, result_serializer="json")
def open_cards_report(on: date | None = None) -> Summary:
    """Open, part paid and overdue cards by age, credits, suspended services with their debt, unassigned payments.

    - As of the end of any past day, by the business dates of cards, revisions and payments.
    - The summary has figures and codes, the spreadsheet names too: it is written to the documents of the installation.
    - Cards of the trial time are listed as such and are in no sum; amounts of two currencies are never added.
    - It changes nothing, and can be run as often as one likes.

    Args:
        on: The day as of which to report. Empty: the day for which the run was scheduled.
    """
    day = on or scheduled_day()
    with recorded("open-cards-report", day, dry_run=False) as summary:
        if day > today():
            raise BadInput([Finding("on", f"{day} is yet to come", "today or a past day")])
        told = write_report(day)
        summary.counts.update(told.counts)
        summary.tables += told.tables
        summary.notes.append(f"spreadsheet: `{told.path}`")
    return summary
