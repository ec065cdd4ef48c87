"""The report on withdrawals as a run makes it: the file, what Prefect is told, and that a past day says the same."""

from datetime import UTC, date, datetime
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

import openpyxl
import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rendering.run_summary import markdown
from lifecycle.rules.findings import BadInput
from lifecycle.rules.runs import Summary
from tasks import withdrawal_report
from tasks.erasure_stores import clear_documents
from tasks.withdrawal_report import Told, rewrite, write_report
from tests import cast
from tests.erasing import erase

FIRST, LAST, AS_OF, TODAY = date(2026, 1, 1), date(2026, 12, 31), date(2026, 3, 31), date(2026, 11, 22)
END_OF_MARCH = datetime(2026, 3, 31, 22, tzinfo=UTC)  # the first moment of 1 April in Rome


def report(first: date = FIRST, last: date = LAST, as_of: date = AS_OF) -> Told:
    return write_report.fn(first, last, as_of, TODAY)


@pytest.fixture
def told(home: Path) -> Told:
    """Anna withdraws from two memberships, Bice from one; Carla's is active, hers that follows is recorded later."""
    with transaction() as db:
        cast.action_type(db, "MOVED")
        cast.action_type(db, "PRICE")
        anna, bice, carla = (cast.customer(db, code) for code in ("ANNA", "BICE", "CARLA"))
        hers = [cast.membership(db, anna, "A1", monthly=False), cast.membership(db, anna, "A2", terms=12)]
        cast.withdrawal(db, anna, hers, date(2026, 2, 28), action_type="MOVED")
        cast.withdrawal(
            db, bice, [cast.membership(db, bice, "B1", monthly=False)], date(2026, 5, 31), action_type="PRICE"
        )
        cast.membership(db, carla, "C1", monthly=False)
        cast.membership(db, carla, "C2", monthly=False, known=END_OF_MARCH)
        db.execute(text(cast.UNLOCKED))
        db.execute(text("UPDATE withdrawn_memberships SET owed = 12.20, removed = 122"))
    return report()


def names(path: Path) -> list[object]:
    return [row[1].value for row in openpyxl.load_workbook(path)["Recessi"].iter_rows(min_row=2)]


def test_a_customer_counts_once_however_many_memberships_were_withdrawn_from(told: Told) -> None:
    assert told.counts == {"withdrawals": 2, "customers": 2, "memberships": 3}


def test_the_summary_has_figures_and_codes_and_nobodys_name(told: Told) -> None:
    summary = Summary("withdrawal-report", TODAY, False, uuid4(), told.counts, tables=told.tables)
    page = markdown(summary, "completed")
    assert "| 2026-01 | 0 | 0 | 0 | 4 | 0.00% |" in page
    assert "| 2026-02 | 1 | 1 | 2 | 4 | 50.00% |" in page
    assert "| 2026-03 | 0 | 0 | 0 | 2 | 0.00% |" in page
    assert "| 2026-04 | 0 | 0 | 0 |  |  |" in page
    assert "| 2026-05 | 1 | 1 | 1 |  |  |" in page
    assert "| MOVED | 1 | 1 | 2 |" in page
    assert "| MEM-YEAR | 2 | 2 | 2 |" in page
    assert "| EUR | 36.60 | 366.00 | 0.00 |" in page
    assert "Feb 2026: 2" in told.chart
    assert "Customer" not in page + told.chart


def test_the_spreadsheet_has_the_names_for_its_owner_only(told: Told, home: Path) -> None:
    assert told.path == home / "documents" / "withdrawals-2026-01-01-2026-12-31-as-of-2026-03-31.xlsx"
    assert S_IMODE(told.path.stat().st_mode) == 0o600
    assert names(told.path) == ["Customer ANNA", "Customer ANNA", "Customer BICE"]


def test_as_of_a_past_day_it_says_the_same_whatever_was_recorded_since(told: Told) -> None:
    before = told.path.read_bytes()
    with transaction() as db:
        carla, hers = db.execute(text("SELECT customer_id, id FROM subscriptions WHERE code = 'C1'")).one()
        cast.withdrawal(db, carla, [hers], date(2026, 2, 10), action_type="MOVED", done_at=END_OF_MARCH)
    again = report()
    assert again == told
    assert again.path.read_bytes() == before
    later = report(as_of=date(2026, 4, 1))
    assert later.counts == {"withdrawals": 3, "customers": 3, "memberships": 4}
    assert later.tables[0].rows[1] == ("2026-02", 2, 2, 3, 5, "60.00%")


def test_after_an_erasure_the_same_day_has_the_same_figures(told: Told) -> None:
    with transaction() as db:
        erase(db, "ANNA")
    assert clear_documents() == {"documents made anew": 1}
    assert names(told.path) == ["Cliente sconosciuto", "Cliente sconosciuto", "Customer BICE"]
    made_anew = told.path.read_bytes()
    assert report() == told
    assert told.path.read_bytes() == made_anew


@pytest.mark.parametrize(
    ("first", "last", "as_of", "wrong"),
    [
        (LAST, FIRST, AS_OF, {"to_date": "2026-01-01 is before 2026-12-31"}),
        (FIRST, LAST, date(2026, 11, 23), {"as_of": "2026-11-23 is yet to come"}),
        (date(1, 1, 1), LAST, AS_OF, {"from_date": "0001-01-01 is out of reach"}),
        (FIRST, LAST, date(1, 1, 1), {"as_of": "0001-01-01 is out of reach"}),
        (
            LAST,
            FIRST,
            date.max,
            {"as_of": "9999-12-31 is yet to come", "to_date": "2026-01-01 is before 2026-12-31"},
        ),
    ],
)
def test_wrong_days_are_refused_in_words_all_at_once(
    first: date, last: date, as_of: date, wrong: dict[str, str]
) -> None:
    with pytest.raises(BadInput) as error:
        report(first, last, as_of)
    assert {f.where: f.problem for f in error.value.findings} == wrong


def test_a_period_without_any_members_says_so_in_figures(told: Told) -> None:
    empty = report(date(2024, 2, 1), date(2024, 2, 1))
    assert not empty.counts.total()
    assert [table.rows for table in empty.tables] == [[]] * 4
    assert names(empty.path) == []


def test_too_many_are_refused_and_not_cut_off(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawal_report, "MOST", 2)
    with pytest.raises(BadInput, match="more than 2 memberships"):
        report()
    rewrite(FIRST, LAST, AS_OF)
    assert len(names(told.path)) == 3
