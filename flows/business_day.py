"""Which day it is. Only flows ask; everything below them is told."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from prefect.runtime import flow_run
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from lifecycle.rules import periods
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import Summary
from lifecycle.settings import settings

DAYS = (
    r"^(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)(?!\n)$"
)
"""All days there are, as YYYY-MM-DD."""

Day = Annotated[date, WithJsonSchema({"type": "string", "format": "date", "pattern": DAYS})]
"""For flows with personal parameters: the server, which does not check formats, refuses what is no day.

It would otherwise be refused by the run, and Prefect then writes all its parameters into the log.
"""

MONTHS = r"^((19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2]))?$"
"""All months of this and the last century and those to come, as YYYY-MM, and none."""


def _month(typed: str) -> str:
    if not re.fullmatch(MONTHS, typed):
        raise PydanticCustomError("month", "a month, as YYYY-MM")
    return typed


Month = Annotated[str, AfterValidator(_month), WithJsonSchema({"type": "string", "pattern": MONTHS})]


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    """Today in the business time zone."""
    return now().astimezone(settings().zone).date()


def refuse_ahead(day: date) -> None:
    """Tomorrow may be acted for, as a run may start before midnight. Raises BadInput for any day after it."""
    if day > today() + timedelta(days=1):
        raise BadInput([Finding("business_date", f"{day} is yet to come", "today or tomorrow, or a dry run")])


def scheduled_day() -> date:
    """The day for which this run was scheduled, in the business time zone: a run that starts late acts for that day."""
    scheduled: datetime = flow_run.scheduled_start_time
    return scheduled.astimezone(settings().zone).date()


def scheduled_minute() -> str:
    """When this run was to start, in the business time zone: the name of one that comes many times a day."""
    scheduled: datetime = flow_run.scheduled_start_time
    return f"{scheduled.astimezone(settings().zone):%Y-%m-%d %H:%M}"


def superseded(summary: Summary) -> bool:
    """Whether this run comes so late that the one after it is due: nothing is left to do here.

    After a downtime Prefect starts all late runs at once, in any order. The run of the last day does all that is due,
    and the others must not act for theirs: whoever was to be warned on the first of these days and cut off on the last
    would be so within minutes.
    """
    summary.superseded = periods.superseded(flow_run.scheduled_start_time, now(), settings().zone)
    if summary.superseded:
        summary.notes.append("it comes more than a day late: the run of a later day makes it up")
    return summary.superseded
