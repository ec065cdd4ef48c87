"""The claims about memberships see what they are for: each is broken by something, and none by what is right."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Connection, text

from tests import cast, claims
from tests.sweeping import started

HARM = {
    "what was due after a withdrawal is not owed any more, and what was paid of it is to be refunded": (
        "UPDATE instalments SET status = 'paid' WHERE status = 'cancelled'"
    ),
    "what was due on the last day of a membership or before is as it was": (
        "UPDATE instalments SET status = 'cancelled' WHERE due_on = '2026-02-28'"
    ),
    "a withdrawal remembers what it removed and what is to be refunded": (
        "UPDATE withdrawn_memberships SET removed = 0"
    ),
    "no term of a membership ends after a withdrawal": (
        "UPDATE terms SET expires_on = '2026-03-11' WHERE starts_on = '2026-02-28' AND expires_on = '2026-03-10'"
    ),
    "a membership from which was withdrawn expires on its last day, or is renewed up to it": (
        "UPDATE terms SET expires_on = '2026-03-09' WHERE starts_on = '2026-03-31'"
    ),
    "a membership is withdrawn after its last day, and none without a withdrawal": (
        "UPDATE transitions SET business_date = '2026-03-10'"
    ),
    "what is withdrawn stays so": (
        "INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date) "
        "SELECT subscription_id, term_id, 'active', 'renewed', '2026-03-12' FROM transitions"
    ),
    "a withdrawal that is done ends memberships, all of its customer": "DELETE FROM withdrawn_memberships",
    "each withdrawal that is done has a CRM action of its own, which says the same": (
        "UPDATE crm_actions SET operator = 'otto'"
    ),
    "a withdrawal is acknowledged once at most, and only if it is done": (
        "INSERT INTO messages (key, kind, state, recipient, recipient_name, customer_id, business_date, motive, basis, "
        "asked_on, facts) SELECT key || '/2', kind, state, recipient, '', customer_id, business_date, motive, basis, "
        "asked_on, facts FROM messages"
    ),
    "nothing of a membership is charged once somebody has withdrawn from it": (
        "UPDATE collections SET recorded_at = '2026-02-03 09:00:01Z'"
    ),
    "terms from month to month begin with the anchor, and one follows the other without gap or overlap": (
        "UPDATE terms SET starts_on = '2026-03-01' WHERE starts_on = '2026-02-28'"
    ),
    "terms from month to month keep the rhythm of the anchor, but for the one that was cut": (
        "UPDATE terms SET expires_on = '2026-02-28' WHERE expires_on = '2026-02-27';"
        "UPDATE terms SET starts_on = '2026-03-01' WHERE starts_on = '2026-02-28'"
    ),
    "a month is charged once": (
        "INSERT INTO instalments (subscription_id, due_on, amount, currency, status) "
        "SELECT subscription_id, '2026-02-01', 1, 'EUR', 'due' FROM withdrawn_memberships"
    ),
}


@pytest.fixture
def left(db: Connection) -> None:
    """On 3 February somebody left a membership that began on 31 January, with 10 March as its last day; it is over."""
    customer = cast.customer(db, "C1")
    cast.action_type(db)
    held = cast.membership(db, customer, starts_on=date(2026, 1, 31), terms=3)
    for due_on, status in ((date(2026, 1, 31), "paid"), (date(2026, 2, 28), "due"), (date(2026, 3, 31), "cancelled")):
        cast.instalment(db, held, due_on, status=status)
    id_ = cast.withdrawal(db, customer, [held], date(2026, 3, 10), done_at=datetime(2026, 2, 3, 9, tzinfo=UTC))
    cast.plan(db, customer, starts_on=date(2026, 1, 31))
    cast.transition(db, held, "withdrawn", date(2026, 3, 11))
    db.execute(text("UPDATE subscription_status SET status = 'withdrawn' WHERE subscription_id = :id"), {"id": held})
    db.execute(text(cast.UNLOCKED))
    db.execute(text("UPDATE withdrawn_memberships SET removed = 12.20"))
    db.execute(
        text("""
        INSERT INTO collections (message_id, kind, business_date, collect_on, currency, total, number, run_id,
            recorded_at)
        VALUES ('1', 'sepa', '2026-01-31', '2026-01-31', 'EUR', 12.20, 1, :run, '2026-01-31 05:00Z')"""),
        {"run": started("charge-run", date(2026, 1, 31))},
    )
    db.execute(text("UPDATE instalments SET collection_id = (SELECT id FROM collections) WHERE status = 'paid'"))
    db.execute(
        text("""
        INSERT INTO messages (key, kind, state, recipient, recipient_name, customer_id, business_date, motive, basis,
            asked_on, facts)
        VALUES ('a', 'withdrawal-acknowledged', 'sent', 'c@example.com', '', :customer, '2026-02-03', 'contract',
            'duty', '2026-02-03', jsonb_build_object('withdrawal', cast(:id AS text)))"""),
        {"customer": customer, "id": id_},
    )


def test_each_claim_about_memberships_finds_what_breaks_it(db: Connection, left: None) -> None:
    assert claims.broken(db, date.max, date.max) == []  # before billing is live, with which memberships have no part
    found = {}
    for claim, harm in HARM.items():
        with db.begin_nested() as before:
            for statement in harm.split(";"):
                assert db.execute(text(statement)).rowcount
            found[claim] = claim in dict(claims.misled(db))
            before.rollback()
    assert found == dict.fromkeys(claims.MEMBERSHIP_CLAIMS, True)
