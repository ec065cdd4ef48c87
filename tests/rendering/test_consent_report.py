"""The spreadsheet of consents, as a program and a person open it."""

from datetime import date, datetime, time
from io import BytesIO

import openpyxl
import pytest

from lifecycle.rendering.consent_report import workbook
from lifecycle.rules.consent_report import BasisUse, ChannelTotal, ConsentReport, Lapsing, MotiveUse, TypeTotal
from lifecycle.rules.contact import Basis, ContactChannel
from lifecycle.rules.languages import LOCALES, Locale

JUNE = date(2026, 6, 1)
FOUND = ConsentReport(
    date(2026, 6, 15),
    types=[TypeTotal("news", "=1+1", 7, 2, 4, 1)],
    lapsing=[Lapsing("C-1", "news", date(2026, 6, 20))],
    channels=[
        ChannelTotal(ContactChannel.BULK, False, "anna", date(2026, 6, 2), 7, 3, 2),
        ChannelTotal(ContactChannel.SINGLE, True, None, None, 6, 0, 0),
        ChannelTotal(ContactChannel.CONTACT, True, None, None, 0, 0, 0),
    ],
    motives=[
        MotiveUse(JUNE, "@anna", "question", ContactChannel.CONTACT, 3),
        MotiveUse(JUNE, None, "question", ContactChannel.SINGLE, 1),
    ],
    bases=[BasisUse(JUNE, ContactChannel.BULK, basis, 5) for basis in Basis],
    ending=[(JUNE, 3)],
)


def at(day: int) -> datetime:
    return datetime.combine(JUNE.replace(day=day), time())


def opened(locale: Locale) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(FOUND, locale)))


@pytest.mark.parametrize(
    ("locale", "sheets", "bulk", "bases"),
    [
        (
            "it",
            ["Tipi di consenso", "In scadenza", "Canali", "Motivi", "Contatti"],
            ["Mail collettiva", "No"],
            ["Obbligo", "Consenso", "Motivo", "Non richiesta"],
        ),
        (
            "el",
            ["Τύποι συγκατάθεσης", "Λήγουν σύντομα", "Κανάλια", "Λόγοι επικοινωνίας", "Επικοινωνίες"],
            ["Μαζικό e-mail", "Όχι"],
            ["Υποχρέωση", "Συγκατάθεση", "Λόγος επικοινωνίας", "Δεν απαιτείται"],
        ),
        (
            "en",
            ["Consent types", "Lapsing", "Channels", "Motives", "Contacts"],
            ["Bulk mail", "No"],
            ["Duty", "Consent", "Motive", "Not asked for"],
        ),
    ],
)
def test_it_is_in_the_installations_language(
    locale: Locale, sheets: list[str], bulk: list[str], bases: list[str]
) -> None:
    book = opened(locale)
    assert book.sheetnames == sheets
    assert [cell.value for cell in book[sheets[2]][2]][:2] == bulk
    assert [row[2].value for row in book[sheets[4]].iter_rows(min_row=2)] == bases


@pytest.mark.parametrize("locale", LOCALES)
def test_every_value_stands_under_a_heading_and_none_is_a_formula(locale: Locale) -> None:
    for sheet in opened(locale):
        assert all(cell.value for cell in sheet[1])
        assert sheet.freeze_panes == "A2"
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


def test_days_and_numbers_are_typed() -> None:
    book = opened("en")
    assert [cell.value for cell in book["Consent types"][2]] == ["news", "=1+1", 12, 7, 2, 4, 1]
    assert [cell.value for cell in book["Lapsing"][2]] == ["C-1", "news", at(20)]
    assert [cell.value for cell in book["Channels"][2]] == ["Bulk mail", "No", "anna", at(2), 7, 3, 2]
    assert [cell.value for cell in book["Channels"][3]] == ["Single mail", "Yes", None, None, 6, 0, 0]
    assert [cell.value for cell in book["Motives"][2]] == ["2026-06", "@anna", "question", "Telephone", 3]
    assert [cell.value for cell in book["Motives"][3]] == ["2026-06", None, "question", "Single mail", 1]
    assert [cell.value for cell in book["Contacts"][2]] == ["2026-06", "Bulk mail", "Duty", 5]


def test_the_same_facts_give_the_same_bytes() -> None:
    assert workbook(FOUND, "it") == workbook(FOUND, "it")
