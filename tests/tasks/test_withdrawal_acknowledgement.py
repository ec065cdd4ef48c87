"""The acknowledgement of a withdrawal on the database: what it says is what was done, as of when it is sent."""

from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from lifecycle.persistence.database import transaction
from lifecycle.settings import settings
from tests import cast
from tests.sweeping import deliver_now

ENTERED = datetime(2026, 6, 3, 22, 5, 12, tzinfo=UTC)
LAST_DAY = date(2026, 6, 30)


def withdrawn(db: Connection, *, shared: bool = False) -> UUID:
    """C1, whom reseller R1 looks after, withdrew from a plan of 2026 as of the end of June, and from one by the month.

    Of the plan May was submitted, June is due; of what was due later July was submitted, and the rest is removed. The
    one by the month was paid until 15 April. With `shared` the mandate stays.
    """
    customer = cast.customer(db, "C1")
    cast.association(db, customer, cast.reseller(db, "R1"))
    mandate = cast.mandate(db, customer, "RUM-7", ended_on=None if shared else date(2026, 6, 4))
    plan = cast.plan(db, customer, "P1", mandate=mandate)
    monthly = cast.membership(db, customer, "M2", starts_on=date(2026, 3, 16), mandate=mandate)
    cast.action_type(db)
    withdrawal = cast.withdrawal(db, customer, [plan, monthly], LAST_DAY, done_at=ENTERED)
    for statement in (
        "UPDATE customers SET email = 'c1@example.com', locale = 'en'",
        """UPDATE instalments SET status = CASE
            WHEN due_on < '2026-05-01' THEN 'paid' WHEN due_on = '2026-05-01' THEN 'submitted'
            WHEN due_on = '2026-06-01' THEN 'due' WHEN due_on = '2026-07-01' THEN 'to_be_refunded'
            ELSE 'cancelled' END""",
        cast.UNLOCKED,
        """UPDATE withdrawn_memberships SET owed = 12.20, removed = 61, to_be_refunded = 12.20
        WHERE subscription_id = (SELECT id FROM subscriptions WHERE code = 'P1')""",
        "SET LOCAL session_replication_role = DEFAULT",
        """INSERT INTO messages (
            key, kind, state, recipient, recipient_name, customer_id, business_date, run_id, facts, motive, basis)
        SELECT 'withdrawal-acknowledged/' || withdrawals.id, 'withdrawal-acknowledged', 'queued', email, name,
            customer_id, business_date, run_id, jsonb_build_object('withdrawal', withdrawals.id), 'contract', 'duty'
        FROM withdrawals JOIN customers ON customers.id = customer_id""",
    ):
        db.execute(text(statement))
    return withdrawal


def sent(home: Path) -> tuple[str, str]:
    """The subject and the words of the one mail that is in the folder."""
    (file,) = (home / "mail" / "new").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    assert mail["X-Lifecycle-Kind"] == "withdrawal-acknowledged"
    return str(mail["Subject"]), " ".join(body.get_content().split())


def test_it_says_what_was_withdrawn_when_and_what_becomes_of_each_instalment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", cast.IBAN)
    settings.cache_clear()
    with transaction() as db:
        number = withdrawn(db).hex[:8].upper()
    assert deliver_now() == {"sent": 1}
    subject, words = sent(home)
    assert subject == f"Withdrawal {number}: acknowledgement of receipt"
    for fact in (
        "Submitted: 4 June 2026, 00:05:12 CEST Customer: Customer C1 (C1) Last day of validity: 30 June 2026",
        "- Product MEM-MONTH M2 Last day of validity: 30 June 2026 Instalments still owed: none",
        "- Product MEM-YEAR P1 Last day of validity: 30 June 2026 Instalment due on 1 Jun 2026: €12.20 Still",
        "Still to pay: €12.20 Already being collected: €12.20 Cancelled: €61.00 To be refunded: €12.20",
        "an instalment for each month: M2.",
        "mandate RUM-7 has ended.",
        f"IBAN: IT60 X054 2811 1010 0000 0123 456 Amount: €12.20 Payment reference: {number} C1",
        "Reseller R1 E-mail: reseller@example.com",
    ):
        assert fact in words


def test_without_an_account_it_is_sent_all_the_same_and_neither_note_nor_operator_is_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", "")
    settings.cache_clear()
    with transaction() as db:
        withdrawn(db, shared=True)
    assert deliver_now() == {"sent": 1}
    _, words = sent(home)
    assert "please turn to the contact below" in words
    assert "RUM-7 remains valid" in words
    assert "as agreed" not in words
    assert "anna" not in words
