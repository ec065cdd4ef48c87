"""The report on appointments as a run makes it: the file, what Prefect is told, and that figures stay when names go."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

import openpyxl
import pytest

from lifecycle.persistence import erasure
from lifecycle.persistence.database import transaction
from lifecycle.rendering.run_summary import markdown
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import Summary
from tasks import appointments_report
from tasks.appointments_report import Told, rewrite, write_report
from tests import cast
from tests.appointments import appointment
from tests.erasing import erase, waits

FIRST, LAST, TODAY = date(2019, 1, 1), date(2019, 12, 31), date(2019, 11, 22)


def report(first: date = FIRST, last: date = LAST) -> Told:
    return write_report.fn(first, last, TODAY)


@pytest.fixture
def told(home: Path) -> Told:
    with transaction() as db:
        anna, bice = cast.customer(db, "ANNA"), cast.customer(db, "BICE")
        appointment(db, "A1", anna, datetime(2018, 12, 31, 23, tzinfo=UTC))  # the year's first moment in Rome
        appointment(db, "A2", anna, datetime(2019, 12, 31, 22, 59, tzinfo=UTC), "booked", "Anna's")
        appointment(db, "A3", bice, datetime(2019, 6, 1, 10, tzinfo=UTC), "no_show")
        appointment(db, "EARLY", bice, datetime(2018, 12, 31, 22, 59, tzinfo=UTC))
        appointment(db, "LATE", bice, datetime(2019, 12, 31, 23, tzinfo=UTC))
    return report()


def names(path: Path) -> list[object]:
    return [row[5].value for row in openpyxl.load_workbook(path)["Appuntamenti"].iter_rows(min_row=2)]


def test_both_days_are_included_in_the_business_time_zone(told: Told) -> None:
    assert told.counts == {
        "appointments": 3,
        "appointments, booked": 1,
        "appointments, attended": 1,
        "appointments, cancelled": 0,
        "appointments, no show": 1,
        "customers with appointments": 2,
    }


def test_the_summary_has_figures_and_nobodys_name(told: Told) -> None:
    summary = Summary("appointments-report", TODAY, False, uuid4(), told.counts, tables=told.tables)
    page = markdown(summary, "completed")
    assert "| 2019-01 | 0 | 1 | 0 | 0 | 1 |" in page
    assert "| 2019-06 | 0 | 0 | 0 | 1 | 1 |" in page
    assert "Jun 2019: 1" in told.chart
    assert "Customer" not in page + told.chart


def test_the_spreadsheet_has_the_names_for_its_owner_only(told: Told, home: Path) -> None:
    assert told.path == home / "documents" / "appointments-2019-01-01-2019-12-31.xlsx"
    assert S_IMODE(told.path.stat().st_mode) == 0o600
    assert names(told.path) == ["Customer ANNA", "Customer BICE", "Customer ANNA"]
    assert "Anna's" not in str([[cell.value for cell in row] for s in openpyxl.load_workbook(told.path) for row in s])


def test_after_an_erasure_the_same_period_has_the_same_figures(told: Told) -> None:
    with transaction() as db:
        erase(db, "ANNA")
    again = report()
    assert (again.counts, again.tables, again.chart) == (told.counts, told.tables, told.chart)
    assert names(again.path) == ["Cliente sconosciuto", "Customer BICE", "Cliente sconosciuto"]


def test_a_document_is_written_anew_with_the_names_of_now(told: Told) -> None:
    with transaction() as db:
        erase(db, "ANNA")
    rewrite(FIRST, LAST)
    anew = told.path.read_bytes()
    assert names(told.path) == ["Cliente sconosciuto", "Customer BICE", "Cliente sconosciuto"]
    assert report().path.read_bytes() == anew


def test_names_that_were_read_are_not_written_once_they_have_gone(told: Told) -> None:
    """Else the document would come after the erasure has looked for documents."""
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            erase(db, "ANNA")
            writing = pool.submit(report)
            assert waits(writing)
        assert "Customer ANNA" not in names(writing.result(30).path)


def test_nobody_is_erased_while_names_are_written(told: Told) -> None:
    def erasing() -> None:
        with transaction() as db:
            erase(db, "ANNA")

    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            erasure.keep_out(db)
            done = pool.submit(erasing)
            assert waits(done)
        done.result(30)


def test_a_period_that_ends_before_it_begins_is_refused_and_writes_nothing(home: Path) -> None:
    with pytest.raises(BadInput) as error:
        report(LAST, FIRST)
    assert [(f.where, f.problem) for f in error.value.findings] == [("to_date", "2019-01-01 is before 2019-12-31")]
    assert not (home / "documents").exists()


@pytest.mark.parametrize(("first", "last"), [(date(1, 1, 1), LAST), (FIRST, date(9999, 12, 31))])
def test_a_period_out_of_reach_is_refused(home: Path, first: date, last: date) -> None:
    with pytest.raises(BadInput, match="out of reach"):
        report(first, last)


def test_a_period_without_any_says_so_in_figures(told: Told) -> None:
    empty = report(date(2020, 2, 1), date(2020, 2, 1))
    assert not empty.counts.total()
    assert names(empty.path) == []


def test_too_many_are_refused_and_not_cut_off(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appointments_report, "MOST", 2)
    with pytest.raises(BadInput, match="more than 2 appointments"):
        report()
    rewrite(FIRST, LAST)
    assert told.path.exists()
