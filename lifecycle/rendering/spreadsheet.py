"""A spreadsheet (XLSX), nothing in it a formula: plain lists of typed cells with a filter, pages of small tables."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from io import BytesIO

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

Value = str | int | date | Decimal | Fraction | None
"""Amounts are Decimal, shares Fraction: they are shown in percent."""

_BARS, _LINE = "#2b6cb0", "#b93a12"


def spreadsheet(
    title: str, day: date, date_format: str, sheets: Iterable[tuple[Sequence[str], Iterable[Sequence[Value]]]]
) -> bytes:
    """One of lists alone. Of each sheet: its name and headings, and its rows. `day` stands for when it was made.

    The same values give the same bytes.
    """
    book = Book(title, day, date_format)
    for named, rows in sheets:
        book.add_list(named, rows)
    return book.content()


class Book:
    """A spreadsheet that is being written. `day` stands for when it was made."""

    def __init__(self, title: str, day: date, date_format: str) -> None:
        self._file = BytesIO()
        self._book = Workbook(self._file, {"in_memory": True})
        self._book.set_properties({"title": title, "created": datetime.combine(day, time())})
        self.bold = self._book.add_format({"bold": True})
        self.heading = self._book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._formats: dict[type, Format] = {
            # Format "text": what begins like a formula stays text even when a person edits the cell.
            str: self._book.add_format({"num_format": "@"}),
            date: self._book.add_format({"num_format": date_format}),
            Decimal: self._book.add_format({"num_format": "#,##0.00"}),
            Fraction: self._book.add_format({"num_format": "0.00%"}),
        }

    def add_list(self, named: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """Add a sheet: its name and headings, and its rows, with a filter."""
        name, *headings = named
        sheet = self._book.add_worksheet(name)
        widths, last = [12] * len(headings), 0
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading, self.heading)
        for last, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                self.write(sheet, last, column, value)
                if isinstance(value, str):
                    widths[column] = min(max(widths[column], len(value) + 2), 40)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, last, len(headings) - 1)

    def add_page(self, name: str) -> "Page":
        return Page(self, self._book, self._book.add_worksheet(name))

    def write(self, sheet: Worksheet, row: int, column: int, value: Value) -> None:
        match value:
            case str():
                sheet.write_string(row, column, value, self._formats[str])
            case date():
                sheet.write_datetime(row, column, value, self._formats[date])
            case Decimal():
                sheet.write_number(row, column, value, self._formats[Decimal])
            case Fraction():
                sheet.write_number(row, column, float(value), self._formats[Fraction])
            case int():
                sheet.write_number(row, column, value)

    def content(self) -> bytes:
        self._book.close()
        return self._file.getvalue()


class Page:
    """A sheet that is read from top to bottom: lines of text, and small tables with a chart at their right."""

    _COLUMNS = 8

    def __init__(self, book: Book, workbook: Workbook, sheet: Worksheet) -> None:
        self._book, self._workbook, self._sheet, self._next = book, workbook, sheet, 0
        sheet.hide_gridlines(2)
        sheet.set_column(0, self._COLUMNS - 1, 15)

    def add_title(self, text: str) -> None:
        self._sheet.write_string(self._next, 0, text, self._book.bold)
        self._next += 1

    def add_line(self, text: str) -> None:
        self._sheet.write_string(self._next, 0, text)
        self._next += 1

    def add_table(self, named: Sequence[str], rows: Iterable[Sequence[Value]]) -> range:
        """Add a table, its name above its headings, and a free row. Returns the rows it has on the sheet."""
        name, *headings = named
        self.add_title(name)
        for column, heading in enumerate(headings):
            self._sheet.write_string(self._next, column, heading, self._book.heading)
        first = self._next = self._next + 1
        for row in rows:
            for column, value in enumerate(row):
                self._book.write(self._sheet, self._next, column, value)
            self._next += 1
        written = range(first, self._next)
        self._next += 1
        return written

    def add_chart(self, title: str, rows: range, bars: tuple[int, str], line: tuple[int, str]) -> None:
        """Draw rows of a table, at the right of it: two of its columns, each with its name, by the first one."""
        chart = self._workbook.add_chart({"type": "column"})
        other = self._workbook.add_chart({"type": "line"})
        chart.add_series(self._series(rows, *bars) | {"fill": {"color": _BARS}})
        other.add_series(self._series(rows, *line) | {"line": {"color": _LINE}, "y2_axis": True})
        chart.combine(other)
        chart.set_title({"name": title, "name_font": {"size": 12}})
        chart.set_y_axis({"name": bars[1], "num_format": "0", "min": 0})
        other.set_y2_axis({"name": line[1], "min": 0})
        chart.set_legend({"position": "bottom"})
        chart.set_size({"width": 720, "height": 320})
        self._sheet.insert_chart(rows.start - 2, self._COLUMNS, chart, {"description": title})

    def _series(self, rows: range, column: int, name: str) -> dict[str, object]:
        def those(at: int) -> list[object]:
            return [self._sheet.get_name(), rows[0], at, rows[-1], at]

        return {"name": name, "categories": those(0), "values": those(column)}
