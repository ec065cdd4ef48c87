"""The days on which banks move euros: those of TARGET, the Eurosystem's settlement system.

It is closed on Saturdays, Sundays, 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December (ECB, since 2002),
whatever a country's own holidays are.
"""

from datetime import date, timedelta
from functools import cache

_CLOSED = {(1, 1), (5, 1), (12, 25), (12, 26)}
_SATURDAY = 5


def bank_day_after(day: date, number: int) -> date:
    """The bank day that is so many of them, at least one, later than `day`, which need not be one itself."""
    while number:
        day += timedelta(days=1)
        number -= is_bank_day(day)
    return day


def is_bank_day(day: date) -> bool:
    easter = easter_sunday(day.year)
    moving = {easter - timedelta(days=2), easter + timedelta(days=1)}
    return day.weekday() < _SATURDAY and (day.month, day.day) not in _CLOSED and day not in moving


@cache
def easter_sunday(year: int) -> date:
    """In the Gregorian calendar ("anonymous Gregorian computus", J. Meeus, Astronomical Algorithms, 1991)."""
    century, of_century = divmod(year, 100)
    leaps, rest = divmod(century, 4)
    moon = (19 * (year % 19) + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    to_sunday = (32 + 2 * rest + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (year % 19 + 11 * moon + 22 * to_sunday) // 451
    month, day = divmod(moon + to_sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)
