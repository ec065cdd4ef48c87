"""Customers asked to renew what lapses, as a run does it: whom, once, over which channel, and what is sent then."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Thread

import pytest

from lifecycle.persistence.database import transaction
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.findings import BadInput
from lifecycle.settings import settings
from tasks import consent_renewal
from tasks.consent_renewal import Asked, Order
from tasks.delivery import BULK as MAILINGS
from tasks.delivery import OBSOLETE, deliver, deliver_bulk, take_stock
from tests import cast, consents
from tests.billing import change, rows
from tests.erasing import erase, waits
from tests.sweeping import started

BULK, SINGLE, CONTACT = ContactChannel
DAY = date(2090, 6, 15)
"""Yet to come: the gate is asked for this day when a mail is sent, and not for the day of the test."""

DAYS = 30


@pytest.fixture(autouse=True)
def types(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", "sixteen characters")
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "60000")
    settings.cache_clear()
    with transaction() as db:
        return {
            code: consents.consent_type(db, code, days, channels)
            for code, days, channels in (
                ("news", 365, "bulk single"),
                ("alone", 365, "single contact"),
                ("calls", 365, "contact"),
                ("ever", None, "bulk single contact"),
                ("short", DAYS, "bulk"),
            )
        }


def grant(code: str, type_: int, granted_on: date, withdrawn_on: date | None = None) -> None:
    """A customer's consent; the customer is made with the first one."""
    with transaction() as db:
        found = rows(f"SELECT id FROM customers WHERE code = '{code}'")
        id_ = found[0][0] if found else cast.customer(db, code)
        consents.email(db, id_, f"{code.lower()}@example.com")
        consents.consent(db, id_, type_, granted_on, withdrawn_on, known=datetime.now(UTC))


def objects(code: str, channel: ContactChannel) -> None:
    change(f"""
        INSERT INTO objections (customer_id, channel, objected_on)
        SELECT id, '{channel}', '{DAY}' FROM customers WHERE code = '{code}'""")


def lapsing(days: int) -> date:
    """When a consent of a year was granted that lapses so many days after DAY: its first day that is not valid."""
    return DAY + timedelta(days=days - 365)


def run(day: date = DAY, *, portion: int = 2, dry_run: bool = False) -> Asked:
    """A whole run as the flow does it, but for the delivery."""
    order, asked = Order(day, DAYS, started("consent-renewal", day), dry_run), Asked()
    due = consent_renewal.find.fn(order)
    for start in range(0, len(due), portion):
        asked.add(consent_renewal.ask.fn(due[start : start + portion], order))
    return asked


def sent(day: date = DAY) -> Counter[str]:
    """Deliver all on that day, at 10:00."""
    until = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    take_stock.fn()
    return deliver.fn(0, until) + deliver_bulk.fn(until, 60)


def mails(home: Path) -> list[EmailMessage]:
    found = [message_from_bytes(f.read_bytes(), policy=policy.default) for f in (home / "mail").glob("new/*")]
    return [mail for mail in found if isinstance(mail, EmailMessage)]


def keys() -> list[str]:
    return [key for (key,) in rows("SELECT key FROM messages ORDER BY key")]


@pytest.mark.parametrize(
    ("days", "asked"),
    [
        (31, 0),
        (30, 1),
        (1, 1),  # its last day
        (0, 0),  # the day after
    ],
)
def test_a_consent_is_asked_about_in_its_last_days(types: dict[str, int], days: int, asked: int) -> None:
    grant("C1", types["news"], lapsing(days))
    assert run().counts["asked by bulk mail"] == asked


def test_it_is_asked_about_once_whatever_is_run_again(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(30))
    assert run().counts == {"asked by bulk mail": 1}
    assert [run(day).counts.total() for day in (DAY, DAY + timedelta(days=1), DAY + timedelta(days=29))] == [0, 0, 0]
    assert keys() == [f"consent-renewal/C1/news/{lapsing(30)}"]


def test_two_runs_beside_each_other_ask_nobody_twice(types: dict[str, int]) -> None:
    for number in range(12):
        grant(f"C{number}", types["news"], lapsing(10))
    done: list[Asked] = []
    both = [Thread(target=lambda: done.append(run())) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sum(asked.counts["asked by bulk mail"] for asked in done) == 12
    assert len(keys()) == 12


def test_a_run_that_was_missed_is_made_up_while_the_consent_is_valid(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(30))
    assert run(DAY + timedelta(days=29)).counts == {"asked by bulk mail": 1}
    grant("C2", types["news"], lapsing(30))
    assert run(DAY + timedelta(days=30)).counts.total() == 0


def test_a_consent_that_was_renewed_is_asked_about_again_when_it_lapses_again(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(30))
    run()
    grant("C1", types["news"], DAY)
    assert run(DAY + timedelta(days=10)).counts.total() == 0
    assert run(DAY + timedelta(days=350)).counts == {"asked by bulk mail": 1}


def test_a_bulk_mail_says_how_to_unsubscribe_and_a_single_one_is_a_mail_alone(
    types: dict[str, int], home: Path
) -> None:
    grant("C1", types["news"], lapsing(7))
    grant("C2", types["alone"], lapsing(7))
    assert run().counts == {"asked by bulk mail": 1, "asked by single mail": 1}
    assert sent() == {f"{MAILINGS}sent": 1, "sent": 1}
    found = {str(mail["To"]).rpartition("<")[2]: mail for mail in mails(home)}
    assert {str(mail["X-Lifecycle-Kind"]) for mail in found.values()} == {"consent-renewal"}
    assert "unsubscribe" in found["c1@example.com>"]["List-Unsubscribe"]
    assert found["c2@example.com>"]["List-Unsubscribe"] is None
    body = found["c1@example.com>"].get_body(("plain",))
    assert body
    assert "«Title news» che ci avete dato è valido fino al giorno 21 giugno 2090" in body.get_content()
    assert rows("SELECT channel, basis, business_date FROM contacts ORDER BY channel") == [
        ("bulk", "consent", DAY),
        ("single", "consent", DAY),
    ]


def test_who_can_only_be_telephoned_or_has_no_address_is_counted_and_listed(types: dict[str, int]) -> None:
    grant("C1", types["calls"], lapsing(7))
    grant("C2", types["news"], lapsing(8))
    change("UPDATE customers SET email = NULL WHERE code = 'C2'")
    for _ in range(2):  # as long as they are left to a person
        asked = run()
        assert asked.counts == {"not asked: can only be telephoned": 1, "not asked: no address": 1}
        assert sorted(asked.listed) == [
            ("2090-06-21", "C1", "calls", "can only be telephoned"),
            ("2090-06-22", "C2", "news", "no address"),
        ]
    assert keys() == []


def test_nobody_is_asked_who_has_withdrawn_renewed_or_would_lose_nothing(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(7), DAY)
    grant("C2", types["news"], lapsing(7))
    grant("C2", types["news"], lapsing(100))
    grant("C3", types["news"], lapsing(7))
    grant("C3", types["ever"], date(2080, 1, 1))
    assert run().counts == {
        "not asked: it was withdrawn": 1,
        "not asked: it was renewed": 1,
        "not asked: it is not needed: other consents allow the same for longer": 1,
    }
    assert keys() == []


def test_who_objects_is_not_asked_and_listed_also_for_the_telephone(types: dict[str, int]) -> None:
    for code, type_, channel in (("C1", "news", BULK), ("C2", "calls", CONTACT)):
        grant(code, types[type_], lapsing(7))
        objects(code, channel)
    assert run().counts == {"not asked: objected": 2}


def test_an_erased_customer_is_not_looked_at(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(7))
    change("UPDATE customers SET name = '', email = NULL, erased_on = '2090-06-15'")
    assert run().counts.total() == 0


def test_what_was_granted_only_just_is_not_asked_about(types: dict[str, int]) -> None:
    grant("C1", types["short"], DAY)
    assert run().counts.total() == 0


@pytest.mark.parametrize(
    ("meanwhile", "outcome"),
    [
        ("renewed", OBSOLETE),
        ("withdrawn", "not sent: consent withdrawn"),
        ("withdrawn while nothing is asked for", OBSOLETE),
        ("lapsed", "not sent: consent lapsed"),
        ("objected", "not sent: objected"),
    ],
)
def test_what_has_changed_since_it_was_queued_is_not_sent(
    types: dict[str, int], home: Path, meanwhile: str, outcome: str
) -> None:
    grant("C1", types["news"], lapsing(7))
    run()
    if meanwhile.endswith("asked for"):
        change(
            "INSERT INTO switches (channel, asks, operator, business_date) VALUES ('bulk', false, 'x', '2090-01-01')"
        )
    match meanwhile.split()[0]:
        case "renewed":
            grant("C1", types["news"], DAY)
        case "withdrawn":
            grant("C1", types["news"], lapsing(7), DAY)
        case "objected":
            objects("C1", BULK)
    assert sent(DAY + timedelta(days=7 if meanwhile == "lapsed" else 0)) == {f"{MAILINGS}{outcome}": 1}
    assert mails(home) == []
    assert rows("SELECT state FROM messages") == [("cancelled",)]
    assert rows("SELECT * FROM contacts") == []


def test_a_dry_run_lists_what_the_run_then_does(types: dict[str, int]) -> None:
    grant("C1", types["news"], lapsing(7))
    grant("C2", types["calls"], lapsing(7))
    foreseen = run(dry_run=True)
    assert keys() == []
    done = run()
    assert (foreseen.counts, foreseen.listed) == (done.counts, done.listed)


def test_without_a_way_to_unsubscribe_nobody_is_asked(types: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIFECYCLE_UNSUBSCRIBE_SECRET")
    settings.cache_clear()
    grant("C1", types["alone"], lapsing(7))
    assert run().counts == {"asked by single mail": 1}
    grant("C2", types["news"], lapsing(7))
    with pytest.raises(BadInput, match="LIFECYCLE_UNSUBSCRIBE_SECRET"):
        run()


def test_a_question_that_meets_an_erasure_waits_for_it_and_then_knows(types: dict[str, int]) -> None:
    grant("ANNA", types["news"], lapsing(1))
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            erase(db, "ANNA")
            asking = pool.submit(run)
            assert waits(asking)
        assert not asking.result(30).counts["queued"]
    assert rows("SELECT recipient FROM messages") == []
