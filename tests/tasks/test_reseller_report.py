"""Reports of the sample business: what they show, and that the past can be reported again as it was known."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from deployments import sample
from lifecycle.persistence import reseller_report, runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering import reseller_report as rendering
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.calendar import scheduled_moment
from lifecycle.rules.reseller_report import Mail, Section, Standing
from lifecycle.settings import settings
from tasks.import_records import import_files
from tasks.reseller_report import Order, make, queue_mails

AUGUST = date(2019, 8, 1)


def import_known_at(folder: Path, moment: datetime, home: Path) -> None:
    """Import those rows of the business that had been recorded by then."""
    then = home / "known-then"
    then.mkdir()
    for path in folder.iterdir():
        with path.open(newline="", encoding="utf-8") as source, (then / path.name).open("w", newline="") as target:
            reader = csv.DictReader(source)
            writer = csv.DictWriter(target, reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(row for row in reader if not _recorded_after(row, moment))
    import_files.fn(then, datetime.now(UTC), dry_run=False)


def _recorded_after(row: dict[str, str], moment: datetime) -> bool:
    recorded = row.get("recorded_at")
    if not recorded:
        return False
    known = datetime.fromisoformat(recorded)
    return (known if known.tzinfo else known.replace(tzinfo=settings().zone)) > moment


def order_of(day: date) -> Order:
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, "monthly-reseller-report", day, dry_run=False, prefect_id=None)
    return Order(day, scheduled_moment(day, settings().zone), run_id, None, date(2026, 11, 21))


def documents(day: date) -> dict[str, tuple[str, str, str, bytes]]:
    with transaction() as db:
        standings = reseller_report.standings(db, day, None, "en")
        stored = reseller_report.read(db, [standing.id for standing in standings], "en")
    contents = {s.report.reseller: (rendering.content(s.report, Issuer("Issuer")), s.report) for s in stored}
    return {code: (c.subject, c.text, c.html, rendering.workbook(report)) for code, (c, report) in contents.items()}


@pytest.fixture
def business(home: Path) -> Path:
    sample.write_business(home / "sample")
    return home / "sample"


def test_a_past_month_is_reported_as_it_was_known_then(home: Path, business: Path) -> None:
    moment = scheduled_moment(AUGUST, settings().zone)
    import_known_at(business, moment, home)
    make.fn(order_of(AUGUST), dry_run=False)
    on_time = documents(AUGUST)

    added = import_files.fn(business, datetime.now(UTC), dry_run=False)
    assert added["terms added"] > 100  # renewals, in September among others
    assert added["associations added"] > 5  # dissociations and a move
    with transaction() as db:
        db.execute(text("TRUNCATE reseller_reports CASCADE"))
    make.fn(order_of(AUGUST), dry_run=False)
    assert documents(AUGUST) == on_time

    make.fn(order_of(date(2019, 10, 1)), dry_run=False)
    assert documents(date(2019, 10, 1)) != on_time


def test_a_dry_run_lists_what_the_run_then_makes(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(AUGUST)
    foreseen = make.fn(order, dry_run=True)
    with transaction() as db:
        assert db.execute(text("SELECT count(*) FROM reseller_reports")).scalar() == 0
    made, standings = make.fn(order, dry_run=False)

    def figures(of: list[Standing]) -> list[tuple[str, int, int, int]]:
        return [(s.reseller, s.expiring, s.open, s.disabled) for s in of]

    assert (foreseen[0], figures(foreseen[1])) == (made, figures(standings))


def test_no_licence_is_in_two_reports_and_every_list_is_in_use(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    _, standings = make.fn(order_of(date(2019, 9, 1)), dry_run=False)
    with transaction() as db:
        twice = db.execute(
            text("SELECT subscription_id FROM reseller_report_lines GROUP BY 1 HAVING count(*) > 1")
        ).all()
    assert twice == []
    assert all(sum(getattr(s, section) for s in standings) > 20 for section in Section)
    assert any(s.lines == 0 for s in standings)


def test_a_report_that_cannot_be_rendered_does_not_hold_up_the_others(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(date(2019, 9, 1))
    _, standings = make.fn(order, dry_run=False)
    bad, *good = [s for s in standings if s.reachable and s.lines]
    with transaction() as db:  # a language that nobody wrote
        db.execute(text("UPDATE resellers SET locale = 'xx' WHERE code = :code"), {"code": bad.reseller})
    counts = queue_mails.fn(order, {s.id: Mail.QUEUE for s in [bad, *good]})
    assert counts == {Mail.QUEUE: len(good), "report cannot be rendered": 1}
