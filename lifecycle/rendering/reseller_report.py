"""The monthly reseller report as a mail and as a spreadsheet, in the reseller's language."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from io import BytesIO

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from lifecycle.rendering.locales import customer_name, long_day, month, number, short_day
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.languages import Locale
from lifecycle.rules.reseller_report import Line, Report, Section

SHOWN = 150
"""Lines of one list in the mail itself; the spreadsheet has them all. Three full lists make a page of about 100 kB, and
some large mailbox providers cut what is longer."""

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line with its customer's name, dates and numbers written out."""

    line: Line
    customer_name: str
    expires_on: str
    access_ends_on: str
    days_left: str


@dataclass(frozen=True, slots=True)
class _List:
    """One list as the mail shows it: how many lines there are, the first of them, how many are left out ("": none)."""

    count: str
    rows: list[_Row]
    more: str


def content(report: Report, issuer: Issuer, *, copy: bool = False) -> Content:
    """The mail. Lines stay in the order of the report; `copy` marks one that was asked for after the first."""
    return render(
        "reseller_report",
        report.locale,
        reseller_name=report.reseller_name,
        day=long_day(report.day, report.locale),
        month=month(report.day, report.locale),
        expiring=_shown(report, Section.EXPIRING),
        open=_shown(report, Section.OPEN),
        disabled=_shown(report, Section.DISABLED),
        unreached=report.unreached()[:SHOWN],
        issuer=issuer,
        copy=copy,
    )


def _shown(report: Report, section: Section) -> _List:
    lines, locale = report.section(section), report.locale
    rows = [
        _Row(
            line,
            customer_name(line.customer_name, locale),
            short_day(line.expires_on, locale),
            short_day(line.access_ends_on, locale),
            number(report.days_left(line), locale),
        )
        for line in lines[:SHOWN]
    ]
    more = len(lines) - len(rows)
    return _List(number(len(lines), locale), rows, number(more, locale) if more else "")


def attachment_name(report: Report) -> str:
    """``2019-09-<reseller's code>.xlsx``: nothing in it but ASCII, and nobody's name."""
    return f"{report.day:%Y-%m}-{re.sub(r'[^A-Za-z0-9._-]', '-', report.reseller)}.xlsx"


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the spreadsheet in one language. Excel allows a sheet's name 31 characters."""

    title: str
    sheets: dict[Section, str]
    columns: tuple[str, str, str, str, str, str]
    access_ends_on: str
    days_left: str
    disabled_since: str
    date_format: str


_WORDS: dict[Locale, _Words] = {
    "it": _Words(
        title="Licenze dei vostri clienti",
        sheets={
            Section.EXPIRING: "In scadenza",
            Section.OPEN: "Scadute, accesso ancora aperto",
            Section.DISABLED: "Disattivate",
        },
        columns=("Codice cliente", "Cliente", "Licenza", "Prodotto", "Riferimento", "Scadenza"),
        access_ends_on="Fine accesso",
        days_left="Giorni rimasti",
        disabled_since="Disattivata dal",
        date_format="dd/mm/yyyy",
    ),
    "el": _Words(
        title="Άδειες των πελατών σας",
        sheets={
            Section.EXPIRING: "Λήγουν",
            Section.OPEN: "Έληξαν, πρόσβαση ανοιχτή",
            Section.DISABLED: "Απενεργοποιημένες",
        },
        columns=("Κωδικός πελάτη", "Πελάτης", "Άδεια", "Προϊόν", "Αναφορά", "Λήξη"),
        access_ends_on="Τέλος πρόσβασης",
        days_left="Ημέρες που απομένουν",
        disabled_since="Απενεργοποιημένη από",
        date_format="d/m/yyyy",
    ),
    "en": _Words(
        title="Your customers' licences",
        sheets={
            Section.EXPIRING: "Expiring",
            Section.OPEN: "Expired, still open",
            Section.DISABLED: "Disabled",
        },
        columns=("Customer code", "Customer", "Licence", "Product", "Reference", "Expiry"),
        access_ends_on="Access ends on",
        days_left="Days left",
        disabled_since="Disabled since",
        date_format="dd/mm/yyyy",
    ),
}


def workbook(report: Report) -> bytes:
    """The spreadsheet (XLSX): one sheet per list, all lines, typed dates. The same report gives the same bytes."""
    words, file = _WORDS[report.locale], BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        book.set_properties(
            {
                "title": f"{words.title}, {month(report.day, report.locale)}",
                "created": datetime.combine(report.day, time()),
            }
        )
        heading = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        # Format "text": what begins like a formula stays text even when a person edits the cell.
        text, day = book.add_format({"num_format": "@"}), book.add_format({"num_format": words.date_format})
        for section in Section:
            sheet = book.add_worksheet(words.sheets[section])
            _write(sheet, report, section, _headings(words, section), text, day, heading)
    return file.getvalue()


def _headings(words: _Words, section: Section) -> Sequence[str]:
    match section:
        case Section.EXPIRING:
            return words.columns
        case Section.OPEN:
            return (*words.columns, words.access_ends_on, words.days_left)
        case Section.DISABLED:
            return (*words.columns, words.disabled_since)


def _write(
    sheet: Worksheet,
    report: Report,
    section: Section,
    headings: Sequence[str],
    text: Format,
    day: Format,
    heading: Format,
) -> None:
    lines = report.section(section)
    for column, (title, width) in enumerate(zip(headings, (14, 40, 16, 30, 26, 12, 14, 14), strict=False)):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, title, heading)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(lines), len(headings) - 1)
    for row, line in enumerate(lines, start=1):
        name = customer_name(line.customer_name, report.locale)
        texts = (line.customer, name, line.licence, line.product, line.reference)
        for column, value in enumerate(texts):
            sheet.write_string(row, column, value, text)
        sheet.write_datetime(row, 5, line.expires_on, day)
        if section is not Section.EXPIRING:
            sheet.write_datetime(row, 6, line.access_ends_on, day)
        if section is Section.OPEN:
            sheet.write_number(row, 7, report.days_left(line))
