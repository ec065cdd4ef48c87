from datetime import date

import pytest
from sqlalchemy import Connection, insert

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
