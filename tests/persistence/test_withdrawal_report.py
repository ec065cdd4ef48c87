"""Which withdrawals count, and the active base: the statement over all terms against the rule for one membership."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lifecycle.persistence.withdrawal_report import read
from lifecycle.rules.withdrawal_report import Withdrawals
from tests import cast

ROME = ZoneInfo("Europe/Rome")
FIRST, LAST, AS_OF = date(2026, 1, 1), date(2026, 6, 30), date(2026, 5, 1)
END = datetime(2026, 5, 1, 22, tzinfo=UTC)
"""The end of AS_OF in Rome."""

BASE = [date(2026, month, 1) for month in range(1, 6)]

# Of one term: when it starts, and its versions, each with its expiry and the days from the end of AS_OF to when it was
# recorded. An expiry before the start: it never came into force.
starts = st.sampled_from([date(2025, 12, 1), date(2026, 1, 1), date(2026, 1, 2), date(2026, 3, 1), date(2026, 5, 2)])
versions = st.dictionaries(st.integers(-3, 1), st.dates(date(2025, 11, 28), date(2026, 7, 1)), min_size=1, max_size=3)
memberships = st.dictionaries(starts, versions, min_size=1, max_size=3)


def report(db: Connection, first: date = FIRST, last: date = LAST, as_of: date = AS_OF) -> Withdrawals:
    return read(db, first, last, as_of, ROME, None)


def is_active(terms: dict[date, dict[int, date]], day: date) -> bool:
    known = {start: {at: expiry for at, expiry in each.items() if at < 0} for start, each in terms.items()}
    return any(start <= day <= each[max(each)] for start, each in known.items() if each)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(all_=st.lists(memberships, max_size=6))
def test_the_base_agrees_with_the_rule(db: Connection, all_: list[dict[date, dict[int, date]]]) -> None:
    with db.begin_nested() as savepoint:
        customer, product = cast.customer(db, "C1"), cast.product(db, "GYM", "membership")
        for number, terms in enumerate(all_):
            held = cast.subscription(db, f"S{number}", customer, product)
            for start, each in terms.items():
                for at, expiry in each.items():
                    cast.term(db, held, expiry, starts_on=start, known=END + timedelta(days=at))
        found = report(db)
        savepoint.rollback()
    assert found.active == {day: sum(is_active(terms, day) for terms in all_) for day in BASE}


def test_only_memberships_are_the_base(db: Connection) -> None:
    customer = cast.customer(db, "C1")
    cast.term(db, cast.subscription(db, "L1", customer, cast.product(db)), LAST)
    cast.membership(db, customer)
    assert report(db).active == {BASE[0]: 1, **dict.fromkeys(BASE[1:], 0)}


@pytest.mark.parametrize(
    ("as_of", "begun"), [(date(2026, 5, 1), BASE), (date(2026, 4, 30), BASE[:4]), (date(2025, 12, 31), [])]
)
def test_a_month_that_had_not_begun_has_no_base(db: Connection, as_of: date, begun: list[date]) -> None:
    assert sorted(report(db, as_of=as_of).active) == begun


@pytest.mark.parametrize(
    ("last_day", "done_at", "counts"),
    [
        (FIRST, cast.LONG_AGO + timedelta(days=1), True),
        (FIRST - timedelta(days=1), cast.LONG_AGO + timedelta(days=1), False),
        (LAST, cast.LONG_AGO + timedelta(days=1), True),
        (LAST + timedelta(days=1), cast.LONG_AGO + timedelta(days=1), False),
        (FIRST, END - timedelta(microseconds=1), True),
        (FIRST, END, False),  # it is the next day in Rome, in UTC it is still the same
    ],
)
def test_the_last_day_and_the_end_of_the_day_of_the_report_decide(
    db: Connection, last_day: date, done_at: datetime, *, counts: bool
) -> None:
    customer = cast.customer(db, "C1")
    cast.action_type(db)
    held = cast.membership(db, customer, starts_on=date(2025, 11, 1), monthly=False)
    cast.withdrawal(db, customer, [held], last_day, done_at=done_at)
    assert bool(report(db).listed) is counts


def test_what_waits_or_was_refused_is_no_withdrawal(db: Connection) -> None:
    customer = cast.customer(db, "C1")
    cast.action_type(db)
    cast.withdrawal(db, customer, [cast.membership(db, customer)], FIRST)
    db.execute(text("UPDATE withdrawals SET state = 'waiting', done_at = NULL, crm_action_id = NULL"))
    assert not report(db).listed


def test_a_line_has_what_was_recorded_with_the_withdrawal(db: Connection) -> None:
    customer = cast.customer(db, "C1")
    cast.action_type(db, "MOVED")
    held = cast.membership(db, customer, "S1", monthly=False)
    cast.withdrawal(db, customer, [held], date(2026, 2, 28), action_type="MOVED")
    [it] = report(db).listed
    assert (it.customer, it.customer_name, it.subscription, it.operator) == ("C1", "Customer C1", "S1", "anna")
    assert (it.product, it.product_name) == ("MEM-YEAR", "Product MEM-YEAR")
    assert (it.action_type, it.action_title) == ("MOVED", "Type MOVED")
    assert (it.last_day, it.former_expires_on) == (date(2026, 2, 28), date(2026, 12, 31))
    assert it.done_at.isoformat() == "2026-01-20T10:00:00+01:00"
