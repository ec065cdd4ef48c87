"""Reports of the sample business: what they show, and that the past can be reported again as it was known."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import openpyxl
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
from tasks.delivery import FAILED
from tasks.import_records import import_files
from tasks.reseller_report import Order, make, queue_mails
from tests.erasing import erase
from tests.sweeping import deliver_now

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
    contents = [(report, rendering.content(report, Issuer("Issuer"))) for report in stored]
    return {report.reseller: (c.subject, c.text, c.html, rendering.workbook(report)) for report, c in contents}


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


def test_a_report_that_cannot_be_written_does_not_hold_up_the_others_and_is_sent_when_it_can(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(date(2019, 9, 1))
    _, standings = make.fn(order, dry_run=False)
    bad, *good = [s for s in standings if s.reachable and s.lines]
    with transaction() as db:  # a language that nobody wrote
        db.execute(text("UPDATE resellers SET locale = 'xx' WHERE code = :code"), {"code": bad.reseller})
    assert queue_mails.fn(order, {s.id: Mail.QUEUE for s in [bad, *good]}) == {Mail.QUEUE: 1 + len(good)}
    assert deliver_now() == {"sent": len(good), FAILED: 1}
    with transaction() as db:
        db.execute(text("UPDATE resellers SET locale = 'el' WHERE code = :code"), {"code": bad.reseller})
    assert queue_mails.fn(order, {bad.id: Mail.AGAIN}) == {Mail.AGAIN: 1}
    assert deliver_now() == {"sent": 1}


def test_a_copy_says_that_it_is_one_and_a_first_mail_does_not(home: Path, business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(AUGUST)
    one = next(s for s in make.fn(order, dry_run=False)[1] if s.reachable and s.locale == "en")
    queue_mails.fn(order, {one.id: Mail.QUEUE})
    deliver_now()
    assert [queue_mails.fn(order, {one.id: Mail.COPY}) for _ in range(2)] == [{Mail.COPY: 1}, {Mail.ALREADY_THERE: 1}]
    deliver_now()
    subjects = sorted(mail["Subject"] for mail in mails(home))
    assert subjects == ["Your customers’ licences: August 2019", "[Copy] Your customers’ licences: August 2019"]


def test_a_customer_who_is_erased_before_the_mail_leaves_is_not_named_in_it(home: Path, business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(AUGUST)
    one, code, name = listed(order)
    queue_mails.fn(order, {one.id: Mail.QUEUE})
    with transaction() as db:
        assert db.execute(text("SELECT count(*) FROM message_bodies")).scalar() == 0
        erase(db, code)
    assert deliver_now() == {"sent": 1}
    [mail] = mails(home)
    [sheet] = mail.iter_attachments()
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert page
    assert f"- Unknown customer ({code})" in plain.get_content()
    assert f"<td>Unknown customer<br><small>{code}</small></td>" in page.get_content()
    cells = [row for each in openpyxl.load_workbook(BytesIO(sheet.get_content())) for row in each.values]
    assert ("Unknown customer", code) in {(row[1], row[0]) for row in cells}
    assert name not in f"{plain.get_content()}{page.get_content()}{cells}"


def test_a_past_month_has_the_same_figures_after_an_erasure_stored_or_made_anew(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(AUGUST)
    one, code, name = listed(order)
    before, shown = make.fn(order, dry_run=False)[1], documents(AUGUST)
    nameless = shown[one.reseller][1].replace(name, "Unknown customer")
    with transaction() as db:
        theirs = (
            "SELECT code, reference FROM subscriptions WHERE customer_id = (SELECT id FROM customers WHERE code = :c)"
        )
        for licence, reference in db.execute(text(theirs), {"c": code}):
            nameless = nameless.replace(f"{licence}, {reference}", licence)
        erase(db, code)
    stored = documents(AUGUST)
    assert stored[one.reseller][1] == nameless
    assert {code for code in shown if stored[code] != shown[code]} == {one.reseller}
    with transaction() as db:
        db.execute(text("TRUNCATE reseller_reports CASCADE"))
    anew = make.fn(order, dry_run=False)[1]
    assert [replace(s, id=0) for s in anew] == [replace(s, id=0) for s in before]
    assert documents(AUGUST) == stored


def test_nobody_is_asked_for_the_address_of_an_erased_customer(business: Path) -> None:
    import_files.fn(business, datetime.now(UTC), dry_run=False)
    order = order_of(AUGUST)
    one, code, _ = listed(order)
    with transaction() as db:
        erase(db, code)
        [report] = reseller_report.read(db, [one.id], "en")
    assert code in {line.customer for line in report.lines}
    assert code not in {line.customer for line in report.unreached()}


def listed(order: Order) -> tuple[Standing, str, str]:
    """A stored report in English, and a customer with an address in it whose licence is disabled: code and name."""
    standings = [s for s in make.fn(order, dry_run=False)[1] if s.reachable and s.locale == "en" and s.disabled]
    with transaction() as db:
        [report] = reseller_report.read(db, [standings[0].id], "en")
    line = next(line for line in report.section(Section.DISABLED) if line.reachable)
    return standings[0], line.customer, line.customer_name


def mails(home: Path) -> list[EmailMessage]:
    read = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in (home / "mail" / "new").iterdir()]
    return [mail for mail in read if isinstance(mail, EmailMessage)]
