"""Removes what is kept for a time only."""

from datetime import date, timedelta

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import refuse_ahead, scheduled_day
from lifecycle.rules.records import start_of_day
from lifecycle.rules.runs import Summary
from lifecycle.settings import settings
from tasks.housekeeping import clear_attempts, clear_prefect, clear_runs, compared, stock
from tasks.runs import recorded


def _run_name() -> str:
    return f"housekeeping {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name="housekeeping", flow_run_name=_run_name, result_serializer="json")
def housekeeping(business_date: date | None = None, dry_run: bool = False) -> Summary:
    """Remove what is older than LIFECYCLE_RETENTION__… days, and nothing that anything rests on.

    - Prefect's runs that have ended, with their logs, task runs and artifacts; those that wait stay.
    - Tries to deliver messages that were sent or cancelled. Of all others they are evidence, and so are those that put
      a mail into a folder: an erasure finds it by them.
    - Records of runs that changed nothing. A flow's last run for a whole period stays, whatever its age.
    - It ends: what is too much for one run is left to the next. Killed, the next one goes on.
    - No personal data is in the figures. What Prefect's events hold goes after a week, by Prefect's own doing.

    Args:
        business_date: The day from which ages are counted. Empty: the day for which the run was scheduled.
        dry_run: Only say how many there are.
    """
    day = business_date or scheduled_day()
    with recorded("housekeeping", day, dry_run=dry_run) as summary:
        if not dry_run:
            refuse_ahead(day)
        kept, zone = settings().retention, settings().zone
        before = stock()
        for clear, days in (
            (clear_attempts, kept.attempts_days),
            (clear_runs, kept.runs_days),
            (clear_prefect, kept.prefect_days),
        ):
            done = clear(start_of_day(day - timedelta(days=days), zone), dry_run=dry_run)
            summary.counts.update({f"{what}, older than {days} days": number for what, number in done.items()})
        summary.tables.append(compared(before, stock()))
    return summary
