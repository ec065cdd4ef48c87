"""The reseller report as people get it: the mail in three languages and the spreadsheet."""

from dataclasses import replace
from datetime import date, datetime, time
from io import BytesIO

import openpyxl
import pandas as pd
import pytest

from lifecycle.rendering.reseller_report import SHOWN, attachment_name, content, workbook
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.languages import Locale
from lifecycle.rules.reseller_report import Line, Report, Section, access_ends_on

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")
DAY = date(2019, 9, 1)
NAMES = (
    "O'Brien & Figli <srl>",
    '=HYPERLINK("http://eve.example","click")',
    "Καφεκοπτεία Παπαδόπουλος & Υιοί",
    "+39 0432 1",
    "@SUM(A1)",
    "-1",
    "http://eve.example",
    "Unione " * 17,
)


def line(section: Section, number: int, expires_on: date, name: str = "Rossi") -> Line:
    return Line(
        section, f"L-{number}", f"sito{number}.it", f"C-{number}", name, "Pro", expires_on, access_ends_on(expires_on)
    )


def opened(report: Report) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(workbook(report)))


LINES = [
    *(line(Section.EXPIRING, n, date(2019, 9, 30), name) for n, name in enumerate(NAMES)),
    line(Section.OPEN, 20, date(2019, 3, 31)),
    line(Section.DISABLED, 30, date(2018, 8, 31)),
]
REPORT = Report("R-1", "D'Alò & C.", "it", DAY, LINES)


@pytest.mark.parametrize(
    ("locale", "day", "expiry", "access_ends", "subject"),
    [
        ("it", "1º settembre 2019", "30 set 2019", "1 ott 2019", "Licenze dei vostri clienti: settembre 2019"),
        ("el", "1 Σεπτεμβρίου 2019", "30 Σεπ 2019", "1 Οκτ 2019", "Άδειες των πελατών σας: Σεπτέμβριος 2019"),
        ("en", "1 September 2019", "30 Sept 2019", "1 Oct 2019", "Your customers’ licences: September 2019"),
    ],
)
def test_the_mail_is_written_in_the_resellers_language(
    locale: Locale, day: str, expiry: str, access_ends: str, subject: str
) -> None:
    mail = content(replace(REPORT, locale=locale), ISSUER)
    assert mail.subject == subject
    for body in (mail.text, mail.html):
        assert all(words in body for words in (day, expiry, access_ends, ISSUER.name, ISSUER.address, "IT01234567890"))
    assert f'<html lang="{locale}">' in mail.html


def test_an_open_licence_shows_when_access_ends_and_the_days_left() -> None:
    text = content(REPORT, ISSUER).text
    assert "Scaduta il: 31 mar 2019; l’accesso termina il: 1 ott 2019; giorni rimasti: 30" in text
    assert "<b>1 ott 2019</b></td><td>30</td>" in content(REPORT, ISSUER).html


@pytest.mark.parametrize("locale", ["it", "el", "en"])
def test_customers_we_could_not_write_to_are_named_once(locale: Locale) -> None:
    silent = [
        replace(line(section, n, date(2019, 3, 31), "Nobody Home"), customer="C-9", reachable=False)
        for n, section in enumerate((Section.OPEN, Section.DISABLED, Section.EXPIRING))
    ]
    mail = content(replace(REPORT, locale=locale, lines=silent), ISSUER)
    assert mail.text.count("- Nobody Home (C-9)\n") == 4  # once in each list, and once as not reached
    assert mail.html.count("<li>Nobody Home <small>C-9</small></li>") == 1
    assert "<li>" not in content(replace(REPORT, locale=locale), ISSUER).html


@pytest.mark.parametrize(
    ("locale", "unknown"), [("it", "Cliente sconosciuto"), ("el", "Άγνωστος πελάτης"), ("en", "Unknown customer")]
)
def test_who_is_erased_is_the_unknown_customer(locale: Locale, unknown: str) -> None:
    lines = [line(section, n, date(2018, 8, 31), "") for n, section in enumerate(Section)]
    report = replace(REPORT, locale=locale, lines=lines)
    mail = content(report, ISSUER)
    assert [f"- {unknown} (C-{n})\n" in mail.text for n in range(3)] == [True] * 3
    assert [f"<td>{unknown}<br><small>C-{n}</small></td>" in mail.html for n in range(3)] == [True] * 3
    assert [sheet["B2"].value for sheet in opened(report)] == [unknown] * 3


def test_a_customer_whose_licence_is_still_valid_was_due_no_notice() -> None:
    valid = replace(line(Section.EXPIRING, 1, date(2019, 9, 30)), reachable=False)
    assert replace(REPORT, lines=[valid]).unreached() == []


def test_a_disabled_licence_shows_since_when() -> None:
    assert "Scaduta il: 31 ago 2018; disattivata dal: 1 mar 2019" in content(REPORT, ISSUER).text


@pytest.mark.parametrize(
    ("locale", "sentences"),
    [
        (
            "it",
            (
                "Nessuna licenza scade nei prossimi due mesi.",
                "Nessuna licenza è scaduta con l’accesso ancora aperto.",
                "Nessuna licenza è disattivata.",
            ),
        ),
        (
            "el",
            (
                "Καμία άδεια δεν λήγει μέσα στους επόμενους δύο μήνες.",
                "Δεν υπάρχει άδεια που έληξε και έχει ακόμη ανοιχτή πρόσβαση.",
                "Δεν υπάρχει απενεργοποιημένη άδεια.",
            ),
        ),
        (
            "en",
            (
                "No licence expires in the next two months.",
                "No licence has expired with its access still open.",
                "No licence is disabled.",
            ),
        ),
    ],
)
def test_an_empty_list_says_so_in_words(locale: Locale, sentences: tuple[str, ...]) -> None:
    mail = content(replace(REPORT, locale=locale, lines=[]), ISSUER)
    assert all(sentence in mail.text and sentence in mail.html for sentence in sentences)


@pytest.mark.parametrize(("locale", "mark"), [("it", "[Copia] "), ("el", "[Αντίγραφο] "), ("en", "[Copy] ")])
def test_a_copy_says_that_it_is_one(locale: Locale, mark: str) -> None:
    report = replace(REPORT, locale=locale)
    first, copy = content(report, ISSUER), content(report, ISSUER, copy=True)
    assert copy.subject == mark + first.subject
    assert len(copy.text) > len(first.text)
    assert 'class="copy"' in copy.html
    assert 'class="copy"' not in first.html


def test_names_are_text_and_never_markup() -> None:
    mail = content(REPORT, ISSUER)
    assert "O&#39;Brien &amp; Figli &lt;srl&gt;" in mail.html
    assert "<srl>" not in mail.html
    assert "- O'Brien & Figli <srl> (C-0)\n" in mail.text
    assert "Gentile D'Alò & C.,\n" in mail.text


def test_a_long_list_is_cut_in_the_mail_and_complete_in_the_spreadsheet() -> None:
    lines = [line(Section.DISABLED, n, date(2018, 1, 1)) for n in range(SHOWN + 1100)]
    report = replace(REPORT, lines=lines)
    mail = content(report, ISSUER)
    for body in (mail.text, mail.html):
        assert "Disattivate" in body
        assert "1.250" in body
        assert "solo nel foglio di calcolo allegato: 1.100." in body
        assert f"L-{SHOWN - 1}" in body
        assert f"L-{SHOWN}" not in body
    assert opened(report)["Disattivate"].max_row == 1 + SHOWN + 1100


def test_an_issuer_without_address_and_vat_number_leaves_no_empty_words() -> None:
    mail = content(REPORT, Issuer("Lifecycle S.r.l."))
    assert mail.text.endswith("-- \nLifecycle S.r.l.\n")
    assert "Partita IVA" not in mail.html


def test_the_spreadsheet_has_a_sheet_for_each_list_in_the_resellers_language() -> None:
    names = {locale: opened(replace(REPORT, locale=locale)).sheetnames for locale in ("it", "el", "en")}
    assert names == {
        "it": ["In scadenza", "Scadute, accesso ancora aperto", "Disattivate"],
        "el": ["Λήγουν", "Έληξαν, πρόσβαση ανοιχτή", "Απενεργοποιημένες"],
        "en": ["Expiring", "Expired, still open", "Disabled"],
    }


def test_dates_and_numbers_in_the_spreadsheet_are_typed() -> None:
    book = opened(REPORT)
    cells = book["Scadute, accesso ancora aperto"][2]
    assert [cell.value for cell in cells] == [
        "C-20",
        "Rossi",
        "L-20",
        "Pro",
        "sito20.it",
        datetime.combine(date(2019, 3, 31), time()),
        datetime.combine(date(2019, 10, 1), time()),
        30,
    ]
    assert [cell.data_type for cell in cells] == ["s"] * 5 + ["d", "d", "n"]
    assert cells[5].number_format == "dd/mm/yyyy"
    assert book.properties.title == "Licenze dei vostri clienti, settembre 2019"


def test_nothing_in_the_spreadsheet_is_a_formula_or_a_link() -> None:
    sheet = opened(REPORT)["In scadenza"]
    cells = [row[1] for row in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == list(NAMES)
    assert {cell.data_type for cell in cells} == {"s"}
    assert {cell.number_format for cell in cells} == {"@"}
    assert all(cell.hyperlink is None for cell in cells)


def test_the_spreadsheet_is_easy_to_read() -> None:
    for sheet in opened(REPORT):
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert sheet.column_dimensions["B"].width > 30


def test_an_empty_list_is_an_empty_sheet_with_headings() -> None:
    sheets = opened(replace(REPORT, lines=[])).worksheets
    assert [(sheet.max_row, sheet.max_column) for sheet in sheets] == [(1, 6), (1, 8), (1, 7)]


def test_the_same_report_gives_the_same_bytes() -> None:
    assert workbook(REPORT) == workbook(REPORT)
    assert content(REPORT, ISSUER) == content(REPORT, ISSUER)


def test_the_attachments_name_is_ascii_and_names_nobody() -> None:
    assert attachment_name(REPORT) == "2019-09-R-1.xlsx"
    assert attachment_name(replace(REPORT, reseller='Ρ/1 "x"\r\n')) == "2019-09---1--x---.xlsx"


def test_the_spreadsheet_loads_as_typed_tables() -> None:
    """As a reseller's own scripts read it: dates are dates, days are numbers, a name is never a formula."""
    tables = pd.read_excel(BytesIO(workbook(REPORT)), sheet_name=None)
    expiring, still_open, disabled = tables.values()
    assert [len(expiring), len(still_open), len(disabled)] == [len(NAMES), 1, 1]
    assert list(expiring["Cliente"]) == list(NAMES)
    assert all(pd.api.types.is_datetime64_any_dtype(table["Scadenza"]) for table in tables.values())
    assert still_open["Fine accesso"].dt.date.tolist() == [date(2019, 10, 1)]
    assert still_open["Giorni rimasti"].tolist() == [30]
