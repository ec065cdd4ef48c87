"""How consents stand on a day: what is about to lapse, who objects, and on what customers were contacted."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import scheduled_day
from lifecycle.rules.runs import Summary
from tasks.consent_report import write_report
from tasks.runs import recorded


def _run_name() -> str:
    return f"consent-report {flow_run.parameters['on'] or scheduled_day()}"


@flow(name="consent-report", flow_run_name=_run_name, result_serializer="json")
def consent_report(on: date | None = None) -> Summary:
    """Consents by type, valid, lapsing within 30 days, lapsed and withdrawn; objections, switches, motives used.

    - A customer counts once for each type, however often it gave that consent: the last time speaks.
    - As of the end of any day. What was recorded later does not count, so that the report of a past day says the same
      whenever it is made. Three things do not come back: the days for which a type is valid are today's, what a file
      says was recorded then counts as recorded then, and erased customers are left out from the day of their erasure.
    - For a day to come it says what is known now of that day.
    - Motives that operators gave, and contacts by basis, for that month and the eleven before, from the contact log.
    - Figures and codes alone, in the summary and in the spreadsheet among the documents of the installation.
    - It changes nothing, and can be run as often as one likes.

    Args:
        on: The day as of whose end to report. Empty: the day for which the run was scheduled.
    """
    day = on or scheduled_day()
    with recorded("consent-report", day, dry_run=False) as summary:
        told = write_report(day)
        summary.counts.update(told.counts)
        summary.tables += told.tables
        summary.images.append(("Consents that end, per month", told.chart))
        summary.notes.append(f"spreadsheet: `{told.path}`")
    return summary
