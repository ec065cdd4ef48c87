"""The spreadsheet of withdrawals, as a program and a person open it."""

from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from uuid import UUID
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from lifecycle.rendering.locales import long_day
from lifecycle.rendering.withdrawal_report import workbook
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.withdrawal_report import Withdrawals, Withdrawn

HOSTILE = '=HYPERLINK("http://eve.example","click")'


def withdrawn(number: int, customer: str, name: str, subscription: str, last_day: date) -> Withdrawn:
    return Withdrawn(
        *(UUID(int=number), customer, name, subscription, "GYM", HOSTILE, "+MOVED", "Trasloco", "anna", last_day),
        *(date(2026, 12, 31), "EUR", Decimal("12.20"), Decimal("1234.50"), Decimal("0.00")),
        datetime(2026, 1, 20, 23, 59, tzinfo=ZoneInfo("Europe/Rome")),
    )


FOUND = Withdrawals(
    date(2026, 1, 1),
    date(2026, 12, 31),
    date(2026, 3, 2),
    [
        withdrawn(1, "C-1", HOSTILE, "S1", date(2026, 1, 31)),
        withdrawn(1, "C-1", HOSTILE, "S2", date(2026, 1, 31)),
        withdrawn(2, "C-2", "", "=1", date(2026, 5, 31)),
    ],
    {date(2026, 1, 1): 16, date(2026, 2, 1): 14, date(2026, 3, 1): 0},
)
EMPTY = Withdrawals(FOUND.first, FOUND.last, FOUND.as_of, [], {})


def opened(locale: Locale = "en", found: Withdrawals = FOUND) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(found, locale)))


def at(day: date) -> datetime:
    return datetime.combine(day, time())


def below(book: openpyxl.Workbook, table: str, sheet: str = "Summary") -> Iterable[list[object]]:
    """The rows of a table of the summary, from its headings to the free row below it."""
    rows = book[sheet].iter_rows(values_only=True)
    while next(rows)[0] != table:
        pass
    for row in rows:
        if row[0] is None:
            return
        yield [value for value in row if value is not None]


@pytest.mark.parametrize(
    ("locale", "sheets", "tables", "unknown"),
    [
        ("it", ["Riepilogo", "Recessi"], ["Per mese", "Per tipo", "Per prodotto", "Rate"], "Cliente sconosciuto"),
        (
            "el",
            ["Σύνοψη", "Διακοπές συνδρομών"],
            ["Ανά μήνα", "Ανά τύπο", "Ανά προϊόν", "Δόσεις"],
            "Άγνωστος πελάτης",
        ),
        ("en", ["Summary", "Withdrawals"], ["By month", "By type", "By product", "Instalments"], "Unknown customer"),
    ],
)
def test_it_is_in_the_installations_language(
    locale: Locale, sheets: list[str], tables: list[str], unknown: str
) -> None:
    book = opened(locale)
    assert book.sheetnames == sheets
    assert [len(list(below(book, table, sheets[0]))) for table in tables] == [7, 2, 2, 2]
    assert [row[1].value for row in book[sheets[1]].iter_rows(min_row=2)] == [HOSTILE, HOSTILE, unknown]


@pytest.mark.parametrize("locale", LOCALES)
def test_none_is_a_formula_and_every_value_of_the_list_stands_under_a_heading(locale: Locale) -> None:
    book = opened(locale)
    assert all(cell.value for cell in book.worksheets[1][1])
    for sheet in book:
        assert all(cell.data_type != "f" and cell.hyperlink is None for row in sheet.iter_rows() for cell in row)


def test_the_figures_of_the_summary() -> None:
    book = opened()
    assert list(below(book, "By month"))[1:] == [
        ["2026-01", 1, 1, 2, 16, 0.125],
        ["2026-02", 0, 0, 0, 14, 0],
        ["2026-03", 0, 0, 0, 0],
        ["2026-04", 0, 0, 0],
        ["2026-05", 1, 1, 1],
        ["Total", 2, 2, 3],
    ]
    assert list(below(book, "By type"))[1:] == [["+MOVED", 2, 2, 3, "Trasloco"]]
    assert list(below(book, "By product"))[1:] == [["GYM", 2, 2, 3, HOSTILE]]
    assert list(below(book, "Instalments"))[1:] == [["EUR", 36.6, 3703.5, 0]]
    assert book["Summary"]["F6"].number_format == "0.00%"


@pytest.mark.parametrize("locale", LOCALES)
def test_it_says_as_of_which_day_it_is_and_what_a_share_is(locale: Locale) -> None:
    said = [str(row[0]) for row in opened(locale).worksheets[0].iter_rows(values_only=True)]
    assert said[1].endswith(long_day(FOUND.as_of, locale))
    assert all(note.endswith(".") for note in said[-6:])
    assert said[-4].startswith({"it": "Quota:", "el": "Ποσοστό:", "en": "Share:"}[locale])


def test_a_membership_is_a_typed_line() -> None:
    first = [cell.value for cell in opened()["Withdrawals"][2]]
    assert first == [
        *("C-1", HOSTILE, "S1", "GYM", "+MOVED", "anna", at(date(2026, 1, 31)), at(date(2026, 12, 31))),
        *(at(date(2026, 1, 20)), "23:59", "EUR", 12.2, 1234.5, 0),
    ]


def test_the_chart_draws_the_months_without_their_total() -> None:
    [chart] = [name for name in ZipFile(BytesIO(workbook(FOUND, "en"))).namelist() if "charts/chart" in name]
    drawn = ZipFile(BytesIO(workbook(FOUND, "en"))).read(chart).decode()
    assert [drawn.count(f"Summary!${column}$6:${column}$10") for column in "ADF"] == [2, 1, 1]


def test_without_any_month_there_is_no_chart_and_the_tables_say_none() -> None:
    book = opened(found=EMPTY)
    assert list(below(book, "By month"))[1:] == [["Total", 0, 0, 0]]
    assert not any("chart" in name for name in ZipFile(BytesIO(workbook(EMPTY, "en"))).namelist())


def test_the_same_facts_give_the_same_bytes() -> None:
    assert workbook(FOUND, "it") == workbook(FOUND, "it")
