"""Bank days: those of TARGET, as the ECB lists its closing days."""

from datetime import date, timedelta

import pytest
from dateutil.easter import easter

from lifecycle.rules.bank_days import bank_day_after, easter_sunday, is_bank_day

CLOSED_2026 = [  # on weekdays
    (1, 1, "New Year's Day"),
    (4, 3, "Good Friday"),
    (4, 6, "Easter Monday"),
    (5, 1, "Labour Day"),
    (12, 25, "Christmas Day"),
]


def test_the_days_on_which_target_is_closed() -> None:
    year = [date(2026, 1, 1) + timedelta(days=days) for days in range(365)]
    closed = [day for day in year if day.weekday() < 5 and not is_bank_day(day)]
    assert closed == [date(2026, month, day) for month, day, _ in CLOSED_2026]
    assert not any(is_bank_day(day) for day in year if day.weekday() >= 5)
    assert not is_bank_day(date(2025, 12, 26))
    assert is_bank_day(date(2026, 4, 25)) is False, "a Saturday"
    assert is_bank_day(date(2026, 6, 2)), "a holiday of one country alone"


def test_easter_is_when_others_reckon_it() -> None:
    years = range(1900, 2200)
    assert [easter_sunday(year) for year in years] == [easter(year) for year in years]


@pytest.mark.parametrize(
    ("day", "number", "expected", "remark"),
    [
        ("2026-11-18", 2, "2026-11-20", "Wednesday, Friday"),
        ("2026-11-19", 2, "2026-11-23", "over a weekend"),
        ("2026-11-21", 1, "2026-11-23", "from a Saturday the Monday is the first"),
        ("2026-11-22", 2, "2026-11-24", "from a Sunday"),
        ("2026-04-01", 2, "2026-04-07", "over Easter"),
        ("2026-12-24", 1, "2026-12-28", "over Christmas, which takes a weekend along"),
        ("2026-12-31", 1, "2027-01-04", "over New Year"),
        ("2026-04-30", 14, "2026-05-21", "the longest lead, over 1 May"),
    ],
)
def test_so_many_bank_days_later(day: str, number: int, expected: str, remark: str) -> None:
    assert bank_day_after(date.fromisoformat(day), number) == date.fromisoformat(expected), remark
