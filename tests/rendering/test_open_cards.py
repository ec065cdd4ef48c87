"""Accounting's spreadsheet, as a program and a person open it."""

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO

import openpyxl
import pytest

from lifecycle.rendering.open_cards import workbook
from lifecycle.rules.languages import LOCALES, Locale
from lifecycle.rules.open_cards import Credit, Debt, OpenCards, SuspendedService, Unassigned

HOSTILE = '=HYPERLINK("http://eve.example","click")'
FOUND = OpenCards(
    date(2026, 12, 31),
    debts=[
        Debt(
            "PF-1",
            "C-1",
            HOSTILE,
            "EUR",
            date(2026, 11, 1),
            date(2026, 12, 1),
            2,
            Decimal("122.10"),
            Decimal(22),
            False,
        ),
        Debt("PF-2", "C-2", "+39 0432", "CHF", date(2026, 12, 1), date(2027, 1, 2), 1, Decimal(61), Decimal(0), False),
        Debt("PF-3", "C-2", "@SUM(A1)", "EUR", date(2026, 12, 1), date(2026, 12, 2), 1, Decimal(61), Decimal(0), True),
    ],
    credits=[Credit("C-3", "-1", "EUR", Decimal("30.50"))],
    suspended=[
        SuspendedService("S-1", "=1", "Hosting", "C-1", "D'Alò", date(2026, 12, 9), "PF-1", "EUR", Decimal("100.10")),
        SuspendedService("S-2", "", "Hosting", "C-1", "D'Alò", date(2026, 12, 9), None, None, None),
    ],
    unassigned=[Unassigned(1, "B-1", date(2026, 12, 4), HOSTILE, HOSTILE, "EUR", Decimal(50), Decimal(20))],
)


def at(*day: int) -> datetime:
    return datetime.combine(date(*day), time())


def opened(locale: Locale = "en") -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(FOUND, locale)))


@pytest.mark.parametrize(
    ("locale", "sheets", "states"),
    [
        (
            "it",
            ["Schede aperte", "Per anzianità", "Crediti", "Servizi sospesi", "Pagamenti non attribuiti"],
            ["Pagata in parte", "Aperta", "Di prova"],
        ),
        (
            "el",
            ["Ανοιχτές καρτέλες", "Ανά παλαιότητα", "Πιστώσεις", "Υπηρεσίες σε αναστολή", "Αταύτιστες πληρωμές"],
            ["Μερικώς πληρωμένη", "Ανοιχτή", "Δοκιμαστική"],
        ),
        (
            "en",
            ["Open cards", "By age", "Credits", "Suspended services", "Unassigned payments"],
            ["Part paid", "Open", "Trial"],
        ),
    ],
)
def test_it_is_in_the_installations_language(locale: Locale, sheets: list[str], states: list[str]) -> None:
    book = opened(locale)
    assert book.sheetnames == sheets
    assert [row[7].value for row in book[sheets[0]].iter_rows(min_row=2)] == states


@pytest.mark.parametrize("locale", LOCALES)
def test_every_value_stands_under_a_heading(locale: Locale) -> None:
    for sheet in opened(locale):
        assert all(cell.value for cell in sheet[1])
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.endswith(str(sheet.max_row))


def test_dates_and_amounts_are_typed() -> None:
    book = opened()
    cells = book["Open cards"][2]
    assert [cell.value for cell in cells] == [
        "PF-1", "C-1", HOSTILE, at(2026, 11, 1), at(2026, 12, 1), 30, "8-30 days", "Part paid", 2, "EUR",
        122.1, 22, 100.1,
    ]  # fmt: skip
    assert "".join(cell.data_type for cell in cells) == "sssddnssnsnnn"
    assert cells[12].number_format == "#,##0.00"
    assert [cell.value for cell in book["Credits"][2]] == ["C-3", "-1", "EUR", 30.5]
    assert [cell.value for cell in book["Suspended services"][3]][5:] == [at(2026, 12, 9), None, None, None]
    assert [cell.value for cell in book["Unassigned payments"][2]][5:] == [50, 20, 30]


def test_the_sums_by_age_are_those_of_the_cards_without_trial_cards() -> None:
    rows = [[cell.value for cell in row] for row in opened()["By age"].iter_rows(min_row=2)]
    assert [row for row in rows if row[2]] == [
        ["CHF", "Not due", 1, 61, 0, 61],
        ["CHF", "Total", 1, 61, 0, 61],
        ["EUR", "8-30 days", 1, 122.1, 22, 100.1],
        ["EUR", "Total", 1, 122.1, 22, 100.1],
    ]
    assert len(rows) == 12


def test_nothing_is_a_formula_or_a_link() -> None:
    for sheet in opened():
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f"
                assert cell.hyperlink is None


def test_the_same_facts_give_the_same_bytes() -> None:
    assert workbook(FOUND, "it") == workbook(FOUND, "it")


@pytest.mark.parametrize(
    ("locale", "unknown"), [("it", "Cliente sconosciuto"), ("el", "Άγνωστος πελάτης"), ("en", "Unknown customer")]
)
def test_who_is_erased_is_the_unknown_customer_on_every_sheet(locale: Locale, unknown: str) -> None:
    found = replace(
        FOUND,
        debts=[replace(FOUND.debts[0], customer_name="")],
        credits=[replace(FOUND.credits[0], customer_name="")],
        suspended=[replace(FOUND.suspended[0], customer_name="")],
    )
    book = openpyxl.load_workbook(BytesIO(workbook(found, locale)))
    cards, _, credit, suspended, _ = book.worksheets
    assert [cards["C2"].value, credit["B2"].value, suspended["E2"].value] == [unknown] * 3
