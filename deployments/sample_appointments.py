"""Appointments of the sample's customers, and its operators: for the demo and for tests, the same bytes always.

Up to October 2019 there are customers with whom something was agreed lately, or is for winter; with whom nothing was
for years; and with whom nothing ever was.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from deployments.sample import CUSTOMERS, Row, write
from lifecycle.rules.appointments import AppointmentStatus

ADMINISTRATOR = "anna"
"""The operator who may confirm erasures."""

CONSULTANT = "otto"
"""An operator who may not, and has an agenda."""

SETTINGS = {"LIFECYCLE_OPERATOR_SECRET": "of the demo, and of nothing else"}

_OPERATORS = (
    (ADMINISTRATOR, "Anna Amministratrice", "anna@hosting.example", "true"),
    (CONSULTANT, "Otto Operatore", "otto@hosting.example", "false"),
)
_SUBJECTS = ("Demo", "Training, first part", "Installazione", "Assistenza in sede", "Παρουσίαση", "")
_ENDED = (AppointmentStatus.ATTENDED, AppointmentStatus.ATTENDED, AppointmentStatus.ATTENDED,
          AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW)  # fmt: skip

_TODAY = date(2019, 10, 31)
_LONG_AGO = date(2017, 9, 30)


def write_appointments(folder: Path) -> None:
    """Write appointments and operators into `folder`, beside the sample business."""
    write(folder, "operators", _OPERATORS)
    write(folder, "appointments", (row for number in range(1, CUSTOMERS + 1) for row in _appointments(number)))


def _appointments(number: int) -> Iterator[Row]:
    """Of ten customers four have some up to today, one has one ahead, three had their last in 2017, two none."""
    match number % 10:
        case 0 | 1 | 2 | 3:
            yield from _before(number, _TODAY - timedelta(days=number % 250), 1 + number % 4)
        case 4:
            yield from _before(number, _LONG_AGO, 1)
            yield _row(number, 9, _TODAY + timedelta(days=4 + number % 60), AppointmentStatus.BOOKED)
        case 5 | 6 | 7:
            yield from _before(number, _LONG_AGO - timedelta(days=number % 300), 1 + number % 5)


def _before(number: int, last: date, count: int) -> Iterator[Row]:
    for nth in range(count):
        yield _row(number, nth + 1, last - timedelta(days=nth * 97), _ENDED[(number // 10 + nth) % len(_ENDED)])


def _row(number: int, nth: int, day: date, status: AppointmentStatus) -> Row:
    starts_at = datetime.combine(day, datetime.min.time()) + timedelta(hours=8 + number % 9, minutes=30 * (nth % 2))
    subject = _SUBJECTS[(number // 10 + nth) % len(_SUBJECTS)]
    return f"A{number:04}-{nth}", f"C{number:04}", f"{starts_at:%Y-%m-%dT%H:%M}", status, subject
