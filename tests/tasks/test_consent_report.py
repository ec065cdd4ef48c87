"""The report on consents as a run makes it: the file, and what Prefect is told of it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import openpyxl
import pytest

from lifecycle.persistence.database import transaction
from lifecycle.rendering.run_summary import markdown
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import Summary
from tasks.consent_report import SHOWN, Told, write_report
from tests import cast, consents

DAY = date(2026, 6, 15)


@pytest.fixture
def told(home: Path) -> Told:
    with transaction() as db:
        year = consents.consent_type(db, "year", 365)
        consents.motive(db, "question")
        for number in range(SHOWN + 1):
            customer = cast.customer(db, f"C{number:02}")
            consents.consent(db, customer, year, DAY - timedelta(days=350))
        consents.objection(db, customer, ContactChannel.CONTACT, DAY)
        consents.contact(db, customer, DAY, motive="question", operator="anna")
    return write_report.fn(DAY)


def test_it_counts_and_the_summary_has_codes_and_nobodys_name(told: Told) -> None:
    assert told.counts == {
        "consents valid": SHOWN + 1,
        "consents lapsing in the next 30 days": SHOWN + 1,
        "consents lapsed": 0,
        "consents withdrawn": 0,
        "customers objecting: bulk": 0,
        "customers objecting: single": 0,
        "customers objecting: contact": 1,
    }
    summary = Summary("consent-report", DAY, False, uuid4(), told.counts, tables=told.tables)
    page = markdown(summary, "completed")
    assert "| year | 51 | 51 | 51 | 0 | 0 |" in page
    assert "| contact | yes | nobody yet |  | 0 | 1 | 1 |" in page
    assert f"Lapsing in the next 30 days, the first {SHOWN} of {SHOWN + 1}" in page
    assert "| C49 | year | 2026-06-29 |" in page
    assert "C50" not in page
    assert "| 2026-06 | anna | question | single | 1 |" in page
    assert "| 2026-06 | single | motive | 1 |" in page
    assert "Customer C" not in page
    assert "Jun 2026: 51" in told.chart


def test_the_spreadsheet_lists_all_that_lapse(told: Told, home: Path) -> None:
    assert told.path == home / "documents" / "consents-2026-06-15.xlsx"
    book = openpyxl.load_workbook(told.path)
    assert book["In scadenza"].max_row == 1 + SHOWN + 1
    assert "Customer C" not in str([[cell.value for cell in row] for sheet in book for row in sheet.iter_rows()])


@pytest.mark.parametrize(
    ("known", "counted"),
    [
        (datetime(2026, 6, 15, 21, 59, tzinfo=UTC), 0),  # one minute before the day ends in Rome
        (datetime(2026, 6, 15, 22, tzinfo=UTC), 1),
    ],
)
def test_the_day_ends_at_midnight_in_the_business_time_zone(told: Told, known: datetime, counted: int) -> None:
    with transaction() as db:
        year = consents.consent_type(db, "other", 365)
        consents.consent(db, cast.customer(db, "LATE"), year, DAY, known=known)
    assert write_report.fn(DAY).counts["consents valid"] == SHOWN + 2 - counted


@pytest.mark.parametrize("on", [date(1, 1, 1), date(9999, 12, 31)])
def test_a_day_out_of_reach_is_refused(home: Path, on: date) -> None:
    with pytest.raises(BadInput, match="out of reach"):
        write_report.fn(on)
