"""Calls out of the outbox, where no provisioning system is configured."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from lifecycle.persistence import database
from lifecycle.persistence.tables import messages
from tasks.provisioning import CALLED, call
from tests import cast

pytestmark = pytest.mark.usefixtures("home")


def test_every_call_is_made_once_and_its_end_recorded() -> None:
    with database.transaction() as db:
        customer, product = cast.customer(db, "ANNA"), cast.product(db)
        licences = [cast.subscription(db, code, customer, product) for code in ("L1", "L2")]
        for key, licence in (("first", licences[0]), ("second", licences[0]), ("other", licences[1])):
            db.execute(insert(messages).values(_call(key, licence, customer)))
    counts = call.fn(0, datetime.now(UTC) + timedelta(minutes=1))
    assert counts == {CALLED: 3}
    with database.transaction() as db:
        made = db.execute(
            text("""
            SELECT key, state, outcome, finished_at IS NOT NULL AS settled
            FROM messages JOIN message_attempts ON message_id = messages.id ORDER BY message_attempts.id""")
        )
        order = [tuple(row) for row in made]
    assert sorted(order) == [(key, "sent", CALLED, True) for key in ("first", "other", "second")]
    assert order.index(("first", "sent", CALLED, True)) < order.index(("second", "sent", CALLED, True))


def _call(key: str, licence: int, customer: int) -> dict[str, object]:
    return {
        "key": key,
        "kind": "access.disabled",
        "channel": "call",
        "state": "queued",
        "recipient": "",
        "recipient_name": "",
        "customer_id": customer,
        "subscription_id": licence,
        "business_date": date(2019, 10, 1),
        "facts": {
            "access": "disabled",
            "subscription": "L1",
            "customer": "ANNA",
            "product": "CLOUD",
            "rule": "expired-6-months",
            "expires_on": "2019-03-31",
            "transition": 1,
        },
    }
