from collections import Counter
from datetime import date, datetime
from zoneinfo import ZoneInfo

from lifecycle.rules.appointments import Appointment, Appointments, AppointmentStatus

ROME = ZoneInfo("Europe/Rome")
BOOKED, ATTENDED, CANCELLED, NO_SHOW = AppointmentStatus


def found(*listed: tuple[str, AppointmentStatus, str]) -> Appointments:
    """Of the first half of 2019: start, status and customer."""
    return Appointments(
        date(2019, 1, 15),
        date(2019, 6, 30),
        [
            Appointment(f"A{at}", datetime.fromisoformat(starts_at).replace(tzinfo=ROME), status, customer, "")
            for at, (starts_at, status, customer) in enumerate(listed)
        ],
    )


FOUND = found(
    ("2019-01-31T23:59", ATTENDED, "C1"),
    ("2019-02-01T00:00", ATTENDED, "C2"),
    ("2019-02-28T09:00", NO_SHOW, "C1"),
    ("2019-02-28T10:00", ATTENDED, "C1"),
    ("2019-06-30T10:00", BOOKED, "C3"),
)


def test_they_are_counted_by_the_month_in_which_they_start() -> None:
    assert FOUND.by_month == [
        (date(2019, 1, 1), Counter({ATTENDED: 1})),
        (date(2019, 2, 1), Counter({ATTENDED: 2, NO_SHOW: 1})),
        (date(2019, 6, 1), Counter({BOOKED: 1})),
    ]
    assert FOUND.by_status == {ATTENDED: 3, NO_SHOW: 1, BOOKED: 1}


def test_a_customer_counts_once_and_by_its_code() -> None:
    assert FOUND.customers == 3


def test_the_last_months_have_those_without_any_and_none_before_the_period() -> None:
    assert FOUND.last_months(3) == [(date(2019, 4, 1), 0), (date(2019, 5, 1), 0), (date(2019, 6, 1), 1)]
    assert [number for _, number in FOUND.last_months(24)] == [1, 3, 0, 0, 0, 1]
    assert found().last_months(1) == [(date(2019, 6, 1), 0)]
