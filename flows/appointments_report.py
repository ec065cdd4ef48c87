"""Appointments of a period per month and status, with the names of now: figures stay when names go."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import scheduled_day
from lifecycle.rules.runs import Summary
from tasks.appointments_report import write_report
from tasks.runs import recorded


def _run_name() -> str:
    return "appointments-report {from_date} {to_date}".format_map(flow_run.parameters)


@flow(name="appointments-report", flow_run_name=_run_name, result_serializer="json")
def appointments_report(from_date: date, to_date: date) -> Summary:
    """Appointments per month and status, whatever became of them, and how many customers they were with.

    - By the day on which they start in the business time zone, the first and the last day included.
    - The summary has figures; the spreadsheet lists each appointment with its customer's name too: it is written to the
      documents of the installation, in place of an earlier one of the same period.
    - Names are those of now. Who was erased is an unknown customer and still counts: the same period has the same
      figures before and after an erasure.
    - It changes nothing, and can be run as often as one likes.

    Args:
        from_date: The first day. On the command line also `--from`.
        to_date: The last day. On the command line also `--to`.
    """
    day = scheduled_day()
    with recorded("appointments-report", day, dry_run=False) as summary:
        told = write_report(from_date, to_date, day)
        summary.counts.update(told.counts)
        summary.tables += told.tables
        summary.images.append(("Appointments per month", told.chart))
        summary.notes.append(f"spreadsheet: `{told.path}`")
    return summary
