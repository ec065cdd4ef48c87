from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from lifecycle.rules.calendar import add_months, first_day_after, month_of, scheduled_moment


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2019, 8, 31), 6, date(2020, 2, 29)),  # clamped, leap year
        (date(2018, 8, 31), 6, date(2019, 2, 28)),  # clamped
        (date(2019, 3, 31), 3, date(2019, 6, 30)),  # the product page's example
        (date(2019, 3, 31), 6, date(2019, 9, 30)),
        (date(2019, 11, 30), 3, date(2020, 2, 29)),
        (date(2020, 2, 29), 12, date(2021, 2, 28)),
        (date(2019, 12, 15), 1, date(2020, 1, 15)),  # over the year
        (date(2019, 1, 31), 0, date(2019, 1, 31)),
        (date(2020, 3, 31), -1, date(2020, 2, 29)),
    ],
)
def test_months_are_clamped_to_the_last_day(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected


def test_after_months_is_due_on_the_next_day() -> None:
    assert first_day_after(date(2019, 3, 31), 3) == date(2019, 7, 1)
    assert first_day_after(date(2019, 3, 31), 6) == date(2019, 10, 1)


@pytest.mark.parametrize("text", ["2019", "2019-13", "2019-9", "19-09", "2019-09-01", "", "2019/09", "abcd-ef"])
def test_a_month_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="expected YYYY-MM"):
        month_of(text)


@pytest.mark.parametrize(
    ("month", "moment"),
    [
        (date(2019, 1, 1), datetime(2019, 1, 1, 5, tzinfo=UTC)),  # winter: UTC+1
        (date(2019, 7, 1), datetime(2019, 7, 1, 4, tzinfo=UTC)),  # summer: UTC+2
    ],
)
def test_the_schedule_is_at_six_local_time(month: date, moment: datetime) -> None:
    assert scheduled_moment(month, ZoneInfo("Europe/Rome")) == moment
