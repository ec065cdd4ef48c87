"""Calendar months and days: the one place that knows month ends.

Months are clamped to the month's last day: 31 August + 6 months = 28 or 29 February. PostgreSQL's ``date + interval``
clamps the same way; a property test holds the two together.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SCHEDULED_AT = time(6)
"""Local time of the monthly schedule: what was recorded later was not known to that month's run."""

SINCE_EVER = date(1900, 1, 1)
"""Stands for the start of what began before anybody wrote it down."""


@lru_cache(maxsize=4096)  # a sweep asks the same few hundred days for each of many thousand licences
def add_months(day: date, months: int) -> date:
    """`day` moved by calendar months, clamped to the last day of the month it lands in."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, calendar.monthrange(year, month0 + 1)[1]))


def first_day_after(day: date, months: int) -> date:
    """The first business date that is later than `day` + `months`: when "after n months" is due."""
    return add_months(day, months) + timedelta(days=1)


def month_of(text: str) -> date:
    """The first day of a month written ``YYYY-MM``. Raises ValueError for anything else."""
    if len(text) != len("2019-09"):
        raise ValueError(f"{text!r} is not a month; expected YYYY-MM")
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ValueError(f"{text!r} is not a month; expected YYYY-MM") from None


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def months(first: date, last: date) -> list[date]:
    """The first day of each month from that of `first` to that of `last`; none where that is an earlier one."""
    number = (last.year - first.year) * 12 + last.month - first.month
    return [add_months(first_of_month(first), after) for after in range(number + 1)]


def scheduled_moment(month: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the monthly run of `month`, its first day, is scheduled in the business time zone."""
    return datetime.combine(month, SCHEDULED_AT, zone).astimezone(UTC)
