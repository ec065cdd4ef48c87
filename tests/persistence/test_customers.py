"""What a person on the telephone is told about a customer."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from lifecycle.persistence import customers
from tests import cast

RENEWED = datetime(2019, 8, 20, 10, tzinfo=UTC)


@pytest.fixture
def renewed_early(db: Connection) -> None:
    """A licence to 31 August 2019 that was renewed on the 20th for the year from 1 September."""
    licence = cast.subscription(db, "L1", cast.customer(db, "C1"), cast.product(db))
    cast.term(db, licence, date(2019, 8, 31), starts_on=date(2018, 9, 1))
    cast.term(db, licence, date(2020, 8, 31), starts_on=date(2019, 9, 1), known=RENEWED)


def licence_on(db: Connection, day: date) -> dict[str, Any]:
    found = customers.show(db, "C1", day, ZoneInfo("Europe/Rome"))
    assert found is not None
    [licence] = found["subscriptions"]
    return dict(licence)


@pytest.mark.parametrize(
    ("day", "expires_on", "status"),
    [
        (date(2019, 8, 19), date(2019, 8, 31), "active"),  # not renewed yet
        (date(2019, 8, 20), date(2020, 8, 31), "active"),  # sold, though it has not begun
        (date(2019, 9, 1), date(2020, 8, 31), "active"),
        (date(2020, 9, 1), date(2020, 8, 31), "expired"),
    ],
)
def test_a_renewal_makes_the_expiry_from_the_day_it_was_sold(
    db: Connection, renewed_early: None, day: date, expires_on: date, status: str
) -> None:
    licence = licence_on(db, day)
    assert (licence["expires_on"], licence["status"]) == (expires_on, status)
