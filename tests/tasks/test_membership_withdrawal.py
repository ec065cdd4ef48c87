"""Withdrawal from memberships: all or none, once, only as it was shown; what stays owed stays."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.membership_withdrawal import Request
from tasks import membership_withdrawal as withdrawals
from tests import cast
from tests.sweeping import started

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
LAST = date(2026, 4, 1)


@pytest.fixture(autouse=True)
def business(home: Path) -> Path:
    """C1 has a plan P1 and, by the same mandate, the monthly M1 until March 31st; anna and the action types."""
    with transaction() as db:
        cast.operator(db, "anna")
        cast.operator(db, "berta")
        cast.action_type(db, "ENDS", in_agenda=True)
        cast.action_type(db, "QUIET")
        cast.action_type(db, "CALL", "call")
        customer = cast.customer(db, "C1")
        mandate = cast.mandate(db, customer, "RUM1")
        cast.plan(db, customer, "P1", mandate=mandate)
        monthly = cast.membership(db, customer, "M1", starts_on=date(2026, 1, 1), terms=3, mandate=mandate)
        for month in (1, 2, 3):
            cast.instalment(db, monthly, date(2026, month, 1), status="paid")
        db.execute(text("UPDATE customers SET email = 'c1@example.com', locale = 'en' WHERE code = 'C1'"))
    return home


ASKED = Request("C1", ("P1",), "ENDS", LAST, "moves to Patras", "anna", "")


def withdraw(request: Request, now: datetime = NOW) -> dict[str, int]:
    run = started("membership-withdrawal", DAY)
    return dict(withdrawals.withdraw.fn(withdrawals.look.fn(request), DAY, run, now, None))


def test_what_is_due_by_the_last_day_stays_owed_and_the_rest_is_removed() -> None:
    assert withdraw(ASKED) == {
        "memberships withdrawn": 1,
        "instalments owed": 4,
        "instalments removed": 8,
        "acknowledgements queued": 1,
    }
