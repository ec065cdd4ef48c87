"""What a backfill chooses to run; and that what it makes late is what was made on time."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from deployments import sample
from flows.backfill import Periodic
from lifecycle.persistence import reseller_report, runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.calendar import months, scheduled_moment
from lifecycle.rules.periods import PERIODIC, Which
from lifecycle.rules.reseller_report import Report
from lifecycle.rules.runs import Summary
from lifecycle.settings import settings
from tasks.backfill import choose
from tasks.import_records import import_files
from tasks.reseller_report import Order, make

REPORT = "monthly-reseller-report"
YEAR = months(date(2018, 12, 1), date(2019, 11, 1))


def test_the_form_offers_every_flow_that_runs_by_the_calendar() -> None:
    assert set(get_args(Periodic)) == set(PERIODIC)


def ran(
    flow: str, day: date, outcome: str, *, dry_run: bool = False, whole: bool = True, prefect_id: UUID | None = None
) -> None:
    summary = Summary(flow, day, dry_run, uuid4())
    with transaction() as db:
        runs.start(db, summary.run_id, flow, day, dry_run=dry_run, prefect_id=prefect_id, whole=whole)
        runs.finish(db, summary, outcome)


def test_it_goes_by_the_runs_for_whole_months_that_were_no_dry_ones(home: Path) -> None:
    first, second, third, fourth, fifth = asked = YEAR[:5]
    ran(REPORT, first, "failed")
    ran(REPORT, first, "completed")
    ran(REPORT, second, "completed", dry_run=True)
    ran(REPORT, third, "completed", whole=False)
    ran(REPORT, fourth, "crashed")
    ran("open-cards-report", fifth, "completed")

    assert choose.fn(REPORT, asked, Which.MISSING).to_run == [second, third, fourth, fifth]
    assert choose.fn(REPORT, asked, Which.FAILED).to_run == [fourth]
    assert choose.fn(REPORT, asked, Which.ALL).to_run == asked
    assert {month: run.outcome for month, run in choose.fn(REPORT, asked, Which.MISSING).last.items()} == {
        first: "completed",
        fourth: "crashed",
    }


def test_of_what_acts_one_run_is_enough_and_none_after_a_later_one(home: Path) -> None:
    asked = [date(2026, 3, day) for day in (1, 2, 3)]
    ran("daily-expiry-sweep", asked[0], "failed")
    assert choose.fn("daily-expiry-sweep", asked, Which.MISSING).to_run == [asked[-1]]
    ran("daily-expiry-sweep", date(2026, 3, 9), "completed")
    assert choose.fn("daily-expiry-sweep", asked, Which.MISSING).to_run == []


def test_what_a_person_let_go_on_and_then_died_is_missing_again(home: Path) -> None:
    day, run = date(2026, 3, 1), uuid4()
    ran("daily-expiry-sweep", day, "waiting", prefect_id=run)
    assert choose.fn("daily-expiry-sweep", [day], Which.MISSING).to_run == []
    ran("daily-expiry-sweep", day, "crashed", prefect_id=run)
    assert choose.fn("daily-expiry-sweep", [day], Which.MISSING).to_run == [day]


@pytest.fixture
def arriving(home: Path) -> dict[date, Path]:
    """The sample business, cut by when it was recorded: by month, what its report was the first to know.

    What does not say when it was recorded is there from the start.
    """
    sample.write_business(home / "sample")
    folders = {month: home / f"known-{month}" for month in YEAR}
    for folder in folders.values():
        folder.mkdir()
    for path in (home / "sample").iterdir():
        with path.open(newline="", encoding="utf-8") as source:
            rows = list(csv.DictReader(source))
        for month, folder in folders.items():
            if mine := [row for row in rows if _first_known(row) == month]:
                with (folder / path.name).open("w", newline="", encoding="utf-8") as target:
                    writer = csv.DictWriter(target, list(rows[0]))
                    writer.writeheader()
                    writer.writerows(mine)
    return folders


def _first_known(row: dict[str, str]) -> date | None:
    """The first month of the year whose report knows this; None: none does."""
    zone = settings().zone
    known = datetime.fromisoformat(row.get("recorded_at") or "1900-01-01T00:00:00")
    known = known if known.tzinfo else known.replace(tzinfo=zone)
    return next((month for month in YEAR if known <= scheduled_moment(month, zone)), None)


def made(month: date) -> list[Report]:
    """The reports of a month, as the flow makes them after it is over, or at its scheduled moment."""
    order = Order(month, scheduled_moment(month, settings().zone), uuid4(), None, date(2026, 11, 21))
    with transaction() as db:
        runs.start(db, order.run_id, REPORT, month, dry_run=False, prefect_id=None)
    make.fn(order, dry_run=False)
    with transaction() as db:
        runs.finish(db, Summary(REPORT, month, False, order.run_id), "completed")
        return reseller_report.read(db, [one.id for one in reseller_report.standings(db, month, None, "en")], "en")


def test_twelve_months_made_late_equal_the_twelve_made_on_time(arriving: dict[date, Path], home: Path) -> None:
    on_time = {}
    for month, folder in arriving.items():
        import_files.fn(folder, datetime.now(UTC), dry_run=False)
        on_time[month] = made(month)
    import_files.fn(home / "sample", datetime.now(UTC), dry_run=False)
    with transaction() as db:
        db.execute(text("TRUNCATE reseller_reports CASCADE; DELETE FROM runs"))

    to_run = choose.fn(REPORT, YEAR, Which.MISSING).to_run
    late = {month: made(month) for month in to_run}
    assert to_run == YEAR
    assert late == on_time
    assert len({str(reports[0].lines) for reports in late.values()}) > 6  # what arrives changes them
