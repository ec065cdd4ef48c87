"""Who withdrew from memberships in a period, how many, and their share of the active ones, as of any past day."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import scheduled_day, today
from lifecycle.rules.runs import Summary
from tasks.runs import recorded
from tasks.withdrawal_report import write_report


def _run_name() -> str:
    given = flow_run.parameters
    return f"withdrawal-report {given['from_date']} {given['to_date']} as of {given['as_of'] or scheduled_day()}"


@flow(name="withdrawal-report", flow_run_name=_run_name, result_serializer="json")
def withdrawal_report(from_date: date, to_date: date, as_of: date | None = None) -> Summary:
    """Withdrawals by month with the share of active memberships, by action type and by product, and the sums of them.

    - By the withdrawal date, which is the last day of validity, the first and the last day of the period included.
    - A customer who withdraws from two memberships counts once among customers, twice among memberships.
    - The share of a month is that of the memberships withdrawn from whose last day is in it, and in the period, among
      those active on its first day. Where none was active there is none, nor for months that had not begun by `as_of`.
    - As of the end of `as_of`. What was recorded later does not count, so that the report as of a past day says the
      same whenever it is made. Three things do not come back: names are those of now, products have the policy of now,
      and what a file says was recorded then counts as recorded then.
    - The summary has figures and codes; the spreadsheet lists each membership with its customer's name too: it is
      written to the documents of the installation. Who was erased is an unknown customer and still counts.
    - It changes nothing, and can be run as often as one likes.

    Args:
        from_date: The first day. On the command line also `--from`.
        to_date: The last day. On the command line also `--to`.
        as_of: The day as of whose end to report. Empty: the day for which the run was scheduled.
    """
    day = as_of or scheduled_day()
    with recorded("withdrawal-report", day, dry_run=False) as summary:
        told = write_report(from_date, to_date, day, today())
        summary.counts.update(told.counts)
        summary.tables += told.tables
        summary.images.append(("Memberships withdrawn from, per month", told.chart))
        summary.notes.append(f"spreadsheet: `{told.path}`")
    return summary
