from datetime import date, timedelta

import pytest
from sqlalchemy import Connection, insert, text

from lifecycle.persistence import subscription_status as standings
from lifecycle.persistence.tables import subscription_status
from lifecycle.rules.subscriptions import Status
from tests import cast

DAY = date(2019, 10, 1)


@pytest.mark.parametrize(("at_most", "number"), [(None, 4), (2, 2), (9, 4)])
def test_active_base_is_whatever_is_valid_on_the_day(db: Connection, at_most: int | None, number: int) -> None:
    customer = cast.customer(db, "ANNA")
    licence, service = cast.product(db), cast.product(db, "DOMAIN", "service")
    for code, product, expires_on, status in (
        ("ENDS-TODAY", licence, DAY, Status.ACTIVE),
        ("ENDS-LATER", licence, date(2020, 1, 1), Status.ACTIVE),
        ("ENDS-LAST", licence, date(2029, 1, 1), Status.ACTIVE),
        ("ENDED-YESTERDAY", licence, date(2019, 9, 30), Status.ACTIVE),
        ("DISABLED", licence, date(2020, 1, 1), Status.DISABLED),
        ("DOMAIN", service, date(2020, 1, 1), Status.ACTIVE),
    ):
        id_ = cast.subscription(db, code, customer, product)
        db.execute(insert(subscription_status).values(subscription_id=id_, status=status, expires_on=expires_on))
    assert standings.active(db, DAY, at_most) == number


@pytest.mark.parametrize(
    ("status", "due_on", "to_card"),
    [
        (Status.ACTIVE, DAY + timedelta(days=1), None),
        (Status.WITHDRAWN, None, None),
        (Status.ENDED, None, None),
    ],
)
def test_a_product_that_becomes_one_of_memberships_is_swept_as_such(
    db: Connection, status: Status, due_on: date | None, to_card: date | None
) -> None:
    product = cast.product(db, "GYM", "custom")
    id_ = cast.subscription(db, "S1", cast.customer(db, "ANNA"), product)
    db.execute(insert(subscription_status).values(subscription_id=id_, status=status, expires_on=DAY))
    standing = text("SELECT due_on, to_card FROM subscription_status")

    def becomes(policy: str) -> tuple[date | None, date | None]:
        db.execute(text("UPDATE products SET policy = :policy"), {"policy": policy})
        standings.follow_policies(db)
        return tuple(db.execute(standing).one())

    assert becomes("membership") == (due_on, to_card)
    service = (due_on, DAY) if due_on else (None, None)
    assert becomes("service") == service
    assert becomes("membership") == (due_on, to_card)
    assert becomes("custom") == (None, None)
