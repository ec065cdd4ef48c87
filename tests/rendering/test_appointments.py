"""The spreadsheet of appointments, as a program and a person open it."""

from datetime import date, datetime, time
from io import BytesIO
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from lifecycle.rendering.appointments import workbook
from lifecycle.rules.appointments import Appointment, Appointments, AppointmentStatus
from lifecycle.rules.languages import LOCALES, Locale

HOSTILE = '=HYPERLINK("http://eve.example","click")'


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=ZoneInfo("Europe/Rome"))  # type: ignore[arg-type,misc]


FOUND = Appointments(
    date(2019, 1, 1),
    date(2019, 12, 31),
    [
        Appointment("A1", at(2019, 1, 31, 23, 59), AppointmentStatus.BOOKED, "C-1", HOSTILE),
        Appointment("A2", at(2019, 3, 1, 9), AppointmentStatus.ATTENDED, "C-2", ""),
        Appointment("A3", at(2019, 3, 2, 9), AppointmentStatus.CANCELLED, "C-2", ""),
        Appointment("A4", at(2019, 3, 3, 9), AppointmentStatus.NO_SHOW, "+1", "D'Alò"),
    ],
)


def opened(locale: Locale = "en") -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(FOUND, locale)))


@pytest.mark.parametrize(
    ("locale", "sheets", "statuses", "unknown"),
    [
        (
            "it",
            ["Per mese", "Appuntamenti"],
            ["Prenotato", "Svolto", "Annullato", "Non presentato"],
            "Cliente sconosciuto",
        ),
        (
            "el",
            ["Ανά μήνα", "Ραντεβού"],
            ["Κλεισμένο", "Πραγματοποιήθηκε", "Ακυρώθηκε", "Δεν προσήλθε"],
            "Άγνωστος πελάτης",
        ),
        (
            "en",
            ["By month", "Appointments"],
            ["Booked", "Attended", "Cancelled", "No show"],
            "Unknown customer",
        ),
    ],
)
def test_it_is_in_the_installations_language(
    locale: Locale, sheets: list[str], statuses: list[str], unknown: str
) -> None:
    book = opened(locale)
    assert book.sheetnames == sheets
    assert [cell.value for cell in book[sheets[0]][1]][1:-1] == statuses
    assert [row[3].value for row in book[sheets[1]].iter_rows(min_row=2)] == statuses
    assert [row[5].value for row in book[sheets[1]].iter_rows(min_row=2)] == [HOSTILE, unknown, unknown, "D'Alò"]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_value_stands_under_a_heading_and_none_is_a_formula(locale: Locale) -> None:
    for sheet in opened(locale):
        assert all(cell.value for cell in sheet[1])
        assert all(cell.data_type != "f" and cell.hyperlink is None for row in sheet.iter_rows() for cell in row)


def test_days_and_figures_are_typed_and_the_figures_add_up() -> None:
    book = opened()
    first = [cell.value for cell in book["Appointments"][2]]
    assert first == ["A1", datetime.combine(date(2019, 1, 31), time()), "23:59", "Booked", "C-1", HOSTILE]
    assert [[cell.value for cell in row] for row in book["By month"].iter_rows(min_row=2)] == [
        ["2019-01", 1, 0, 0, 0, 1],
        ["2019-03", 0, 1, 1, 1, 3],
        ["Total", 1, 1, 1, 1, 4],
    ]


def test_the_same_facts_give_the_same_bytes() -> None:
    assert workbook(FOUND, "it") == workbook(FOUND, "it")
