"""Renewals, by hand and by import: what was disabled comes back, and no more notices of the old lapse leave."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, lock, refresh
from lifecycle.rules.findings import BadInput
from lifecycle.rules.licence_expiry import Step
from lifecycle.settings import settings
from tasks.import_records import import_files
from tasks.record_renewal import renew
from tests import cast
from tests.erasing import waits
from tests.sweeping import at, deliver_now, record_renewal, started, sweep

MARCH, NEXT_MARCH = date(2019, 3, 31), date(2020, 3, 31)
JULY, OCTOBER = date(2019, 7, 1), date(2019, 10, 1)


@pytest.fixture
def business(home: Path) -> Path:
    """A licence that expires in March 2019."""
    with transaction() as db:
        held = cast.subscription(db, "L1", cast.customer(db, "C1"), cast.product(db))
        cast.term(db, held, MARCH)
        db.execute(text("UPDATE customers SET email = 'c1@example.com'"))
        refresh(db, GIVEN, Learned(date(2018, 1, 1), cast.LONG_AGO, None, cast.LIVE), [held])
    return home


@pytest.fixture
def disabled(business: Path) -> Path:
    for day in (JULY, OCTOBER):
        sweep(day)
        deliver_now()
    return business


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def transitions() -> list[tuple[Any, ...]]:
    return rows("SELECT to_status, rule, business_date FROM transitions ORDER BY id")


def standing() -> tuple[Any, ...]:
    return rows("SELECT status, expires_on, due_on FROM subscription_status")[0]


def import_term(home: Path, expires_on: date, day: date) -> dict[str, int]:
    file = home / "terms.csv"
    file.write_text(f"subscription,starts_on,expires_on\nL1,2019-04-01,{expires_on}\n")
    return dict(import_files.fn(file, at(day), dry_run=False))


CUT_OFF = ("disabled", "expired-6-months", OCTOBER)


def test_a_renewal_by_hand_brings_a_disabled_licence_back(disabled: Path) -> None:
    day = OCTOBER + timedelta(days=40)
    assert record_renewal("L1", NEXT_MARCH, day) == {"renewed": 1, "brought back": 1}
    assert standing() == ("active", NEXT_MARCH, date(2020, 7, 1))
    assert transitions() == [CUT_OFF, ("active", "renewed", day)]
    assert rows("SELECT starts_on, expires_on FROM terms ORDER BY id")[1:] == [(date(2019, 4, 1), NEXT_MARCH)]
    assert deliver_now() == {"calls made": 1}
    assert rows("SELECT kind, state FROM messages WHERE channel = 'call' ORDER BY id") == [
        ("access.disabled", "sent"),
        ("access.enabled", "sent"),
    ]


def test_an_import_of_terms_brings_a_disabled_licence_back(disabled: Path) -> None:
    day = OCTOBER + timedelta(days=40)
    assert import_term(disabled, NEXT_MARCH, day) == {
        "terms added": 1,
        "subscriptions brought back": 1,
        "associations added": 0,
    }
    assert standing() == ("active", NEXT_MARCH, date(2020, 7, 1))
    assert transitions() == [CUT_OFF, ("active", "renewed", day)]
    assert deliver_now() == {"calls made": 1}
    assert "subscriptions brought back" not in import_term(disabled, NEXT_MARCH, day)
    assert len(transitions()) == 2


def test_a_renewal_in_time_leaves_no_transition(business: Path) -> None:
    assert record_renewal("L1", NEXT_MARCH, MARCH) == {"renewed": 1}
    assert transitions() == []
    assert rows("SELECT 1 FROM messages") == []


def test_a_notice_that_is_still_queued_does_not_leave_any_more(business: Path) -> None:
    sweep(JULY)
    record_renewal("L1", NEXT_MARCH, JULY)
    assert deliver_now() == {}
    assert rows("SELECT state FROM messages") == [("cancelled",)]
    assert sweep(OCTOBER) == {}


def test_the_next_lapse_starts_afresh(disabled: Path) -> None:
    """Renewed to a day that has passed as well: warned again, and cut off again after the wait."""
    record_renewal("L1", date(2019, 6, 30), OCTOBER + timedelta(days=1))
    assert [sweep(OCTOBER + timedelta(days=days)) + deliver_now() for days in (1, 2)] == [
        {Step.WARN: 1, "sent": 1, "calls made": 1},
        {},
    ]
    assert sweep(date(2019, 12, 30)) == {}
    assert sweep(date(2019, 12, 31)) == {Step.DISABLE: 1, Step.TELL: 1}


def test_the_same_renewal_again_changes_nothing(disabled: Path) -> None:
    record_renewal("L1", NEXT_MARCH, OCTOBER)
    before = transitions(), standing()
    assert record_renewal("L1", NEXT_MARCH, OCTOBER + timedelta(days=1)) == {"renewed before": 1}
    assert (transitions(), standing()) == before


def test_the_same_renewal_twice_at_once_is_recorded_once(disabled: Path) -> None:
    both = [threading.Thread(target=record_renewal, args=("L1", NEXT_MARCH, OCTOBER)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert transitions() == [CUT_OFF, ("active", "renewed", OCTOBER)]
    assert rows("SELECT count(*) FROM terms") == [(2,)]


def test_a_dry_run_says_the_same_and_records_nothing(disabled: Path) -> None:
    before = transitions(), standing(), rows("SELECT * FROM terms"), rows("SELECT * FROM messages")
    dry = renew.fn("L1", NEXT_MARCH, OCTOBER, at(OCTOBER), started("record-renewal", OCTOBER), dry_run=True)
    assert (transitions(), standing(), rows("SELECT * FROM terms"), rows("SELECT * FROM messages")) == before
    assert record_renewal("L1", NEXT_MARCH, OCTOBER) == dry


@pytest.mark.parametrize(
    ("code", "expires_on", "problem"),
    [
        ("L2", NEXT_MARCH, "'L2' is no subscription's code"),
        ("", NEXT_MARCH, "'' is no subscription's code"),  # never all of them
        ("L1", date(2019, 3, 30), "2019-03-30 is before the present expiry 2019-03-31"),
    ],
)
def test_what_cannot_be_a_renewal_is_refused(business: Path, code: str, expires_on: date, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        record_renewal(code, expires_on, JULY)
    assert rows("SELECT count(*) FROM terms") == [(1,)]


def test_before_go_live_the_call_is_withheld(disabled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__ACCESS_CHANGE", "2019-10-03")
    settings.cache_clear()
    record_renewal("L1", NEXT_MARCH, date(2019, 10, 2))
    assert deliver_now() == {}
    assert rows("SELECT state FROM messages WHERE kind = 'access.enabled'") == [("withheld",)]


def test_a_membership_that_is_withdrawn_from_is_not_renewed(home: Path) -> None:
    last_day = date(2026, 2, 10)
    with transaction() as db:
        customer = cast.customer(db, "C1")
        cast.membership(db, customer, "M1", terms=2)
        withdrawn = cast.membership(db, customer, "M2", terms=2)
        cast.action_type(db)
        cast.withdrawal(db, customer, [withdrawn], last_day)
    with pytest.raises(BadInput, match=f"'M2' is withdrawn from, its last day is {last_day}"):
        record_renewal("M2", date(2026, 3, 31), last_day)
    assert record_renewal("M1", date(2026, 3, 31), last_day) == {"renewed": 1}


def test_a_renewal_that_meets_a_withdrawal_waits_for_it_and_then_knows(home: Path) -> None:
    with transaction() as db:
        customer = cast.customer(db, "C1")
        membership = cast.membership(db, customer, "M1")
        cast.action_type(db)
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            lock(db, [membership])
            cast.withdrawal(db, customer, [membership], date(2026, 1, 10))
            renewing = pool.submit(record_renewal, "M1", date(2026, 2, 28), date(2026, 1, 31))
            assert waits(renewing)
        with pytest.raises(BadInput, match="is withdrawn from"):
            renewing.result(30)


def test_what_an_erased_customer_held_is_not_renewed(business: Path) -> None:
    with transaction() as db:
        db.execute(text("UPDATE customers SET name = '', email = NULL, erased_on = '2019-10-01'"))
    with pytest.raises(BadInput, match="the customer of 'L1' was erased"):
        record_renewal("L1", NEXT_MARCH, JULY)
    assert rows("SELECT count(*) FROM terms") == [(1,)]
