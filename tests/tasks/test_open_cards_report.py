"""Accounting's report as a run makes it: the file, and what Prefect is told of it."""

from datetime import date
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

import openpyxl
import pytest

from lifecycle.persistence.database import transaction
from lifecycle.rendering.run_summary import markdown
from lifecycle.rules.runs import Summary
from tasks.open_cards_report import SHOWN, Told, write_report
from tests import cast

DAY = date(2026, 12, 10)


@pytest.fixture
def told(home: Path) -> Told:
    with transaction() as db:
        service = cast.product(db, "HOSTING", "service")
        for number in range(SHOWN + 1):
            customer = cast.customer(db, f"C{number}")
            held = cast.subscription(db, f"S{number}", customer, service)
            cast.term(db, held, date(2026, 11, 30))
            currency = "CHF" if number == 0 else "EUR"
            card = cast.card(db, f"PF-{number}", customer, [held], currency=currency, trial=number == 1)
            cast.transition(db, held, "suspended", date(2026, 12, 8))
        payment = cast.payment(db, "B1", "45.00", date(2026, 12, 1))
        cast.allocation(db, "20.00", date(2026, 12, 1), payment=payment, card=card, customer=customer)
        cast.allocation(db, "15.00", date(2026, 12, 1), payment=payment, customer=customer)
    return write_report.fn(DAY)


def test_it_counts_what_is_open_paid_in_part_and_overdue(told: Told) -> None:
    assert told.counts == {
        "open cards": SHOWN,
        "open cards, paid in part": 1,
        "open cards, overdue": SHOWN,
        "open cards of the trial time": 1,
        "customers with credit": 1,
        "suspended services": SHOWN + 1,
        "unassigned payments": 1,
    }


def test_the_summary_has_figures_by_currency_and_codes_and_nobodys_name(told: Told) -> None:
    summary = Summary("open-cards-report", DAY, False, uuid4(), told.counts, tables=told.tables)
    page = markdown(summary, "completed")
    assert "| EUR | 8-30 days | 49 | 5978.00 | 20.00 | 5958.00 |" in page
    assert "| CHF | total | 1 | 122.00 | 0.00 | 122.00 |" in page
    assert "| unassigned | EUR | 1 | 10.00 |" in page
    assert f"| C{SHOWN} | EUR | 15.00 |" in page
    assert "| 1 | 2026-12-01 | EUR | 10.00 |" in page
    assert "| S0 | 2026-12-08 | PF-0 | CHF | 122.00 |" in page
    assert f"Suspended services, the first {SHOWN} of {SHOWN + 1}" in page
    assert "Customer C" not in page
    assert "Paula" not in page


def test_the_spreadsheet_lies_in_the_documents_for_its_owner_only(told: Told, home: Path) -> None:
    assert told.path == home / "documents" / "open-cards-2026-12-10.xlsx"
    assert S_IMODE(told.path.stat().st_mode) == 0o600
    assert openpyxl.load_workbook(told.path)["Schede aperte"].max_row == 1 + SHOWN + 1
    first = told.path.read_bytes()
    told.path.chmod(0o644)
    write_report.fn(DAY)
    assert told.path.read_bytes() == first
    assert S_IMODE(told.path.stat().st_mode) == 0o600
    assert list(told.path.parent.iterdir()) == [told.path]
