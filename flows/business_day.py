"""Which day it is. Only flows ask; everything below them is told."""

from datetime import UTC, date, datetime

from prefect.runtime import flow_run

from lifecycle.settings import settings


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    """Today in the business time zone."""
    return now().astimezone(settings().zone).date()


def scheduled_day() -> date:
    """The day for which this run was scheduled, in the business time zone: a run that starts late acts for that day."""
    scheduled: datetime = flow_run.scheduled_start_time
    return scheduled.astimezone(settings().zone).date()
