"""A spreadsheet (XLSX) of plain lists: typed cells, nothing a formula, each sheet with headings and a filter."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

Value = str | int | date | Decimal | None


def spreadsheet(
    title: str, day: date, date_format: str, sheets: Iterable[tuple[Sequence[str], Iterable[Sequence[Value]]]]
) -> bytes:
    """The file. Of each sheet: its name and headings, and its rows. `day` stands for when it was made.

    The same values give the same bytes.
    """
    file = BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        book.set_properties({"title": title, "created": datetime.combine(day, time())})
        heading = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        formats: dict[type, Format] = {
            # Format "text": what begins like a formula stays text even when a person edits the cell.
            str: book.add_format({"num_format": "@"}),
            date: book.add_format({"num_format": date_format}),
            Decimal: book.add_format({"num_format": "#,##0.00"}),
        }
        for (name, *headings), rows in sheets:
            _write(book.add_worksheet(name), headings, rows, formats, heading)
    return file.getvalue()


def _write(
    sheet: Worksheet,
    headings: Sequence[str],
    rows: Iterable[Sequence[Value]],
    formats: dict[type, Format],
    heading: Format,
) -> None:
    widths, last = [12] * len(headings), 0
    for column, title in enumerate(headings):
        sheet.write_string(0, column, title, heading)
    for last, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            match value:
                case str():
                    sheet.write_string(last, column, value, formats[str])
                    widths[column] = min(max(widths[column], len(value) + 2), 40)
                case date():
                    sheet.write_datetime(last, column, value, formats[date])
                case Decimal():
                    sheet.write_number(last, column, value, formats[Decimal])
                case int():
                    sheet.write_number(last, column, value)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last, len(headings) - 1)
