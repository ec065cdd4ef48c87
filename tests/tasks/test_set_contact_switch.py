"""The switches: a change is recorded with operator and day, once, and never for a past day."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lifecycle.persistence.contact import asking
from lifecycle.persistence.database import transaction
from lifecycle.rules.consents import effect
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.findings import BadInput
from tasks.consents import By, set_switch
from tests import cast
from tests.sweeping import started

BULK, SINGLE = ContactChannel.BULK, ContactChannel.SINGLE
DAY = date(2026, 7, 1)
NEXT_WEEK = DAY + timedelta(days=7)


@pytest.fixture
def by(home: Path) -> By:
    with transaction() as db:
        cast.operator(db, "OP1")
    return By("OP1", started("set-contact-switch", DAY), DAY, datetime(2026, 7, 1, 10, tzinfo=UTC))


def asks(day: date) -> frozenset[ContactChannel]:
    with transaction() as db:
        return asking(db, day)


def changes() -> list[tuple[Any, ...]]:
    with transaction() as db:
        query = "SELECT channel, asks, operator, business_date FROM switches ORDER BY id"
        return [tuple(row) for row in db.execute(text(query))]


def test_each_asks_until_it_is_switched_off_from_a_day_on(by: By) -> None:
    assert not set_switch.fn(BULK, True, DAY, by, dry_run=False)
    assert set_switch.fn(BULK, False, NEXT_WEEK, by, dry_run=False)
    assert changes() == [("bulk", False, "OP1", NEXT_WEEK)]
    assert asks(NEXT_WEEK - timedelta(days=1)) == frozenset(ContactChannel)
    assert asks(NEXT_WEEK) == frozenset(ContactChannel) - {BULK}


def test_what_holds_already_is_left_as_it_is(by: By) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = threads.map(lambda _: set_switch.fn(SINGLE, False, DAY, by, dry_run=False), range(4))
        assert sorted(done) == [False, False, False, True]
    assert set_switch.fn(SINGLE, True, DAY, by, dry_run=False)
    assert set_switch.fn(SINGLE, False, DAY, by, dry_run=False)
    assert asks(DAY) == frozenset(ContactChannel) - {SINGLE}
    assert len(changes()) == 3


def test_it_changes_nothing_of_the_past(by: By) -> None:
    nobody = By("OP9", by.run_id, DAY, by.now)
    with pytest.raises(BadInput) as error:
        set_switch.fn(BULK, False, DAY - timedelta(days=1), nobody, dry_run=False)
    found = [(f.where, f.problem) for f in error.value.findings]
    assert found == [("from_on", "2026-06-30 is past"), ("operator", "'OP9' is no operator")]
    assert changes() == []


def test_a_dry_run_says_the_same_and_records_nothing(by: By) -> None:
    assert set_switch.fn(BULK, False, DAY, by, dry_run=True)
    assert changes() == []


@pytest.mark.parametrize("channel", ContactChannel)
def test_the_effect_is_said_in_words(channel: ContactChannel) -> None:
    assert "without a valid consent" in effect(channel, asks=True) or "only to customers" in effect(channel, asks=True)
    assert effect(channel, asks=False).endswith("; who objected is left alone all the same")
