"""A consent that ends between queueing and sending stops the mail, and what was sent is logged once, whatever dies."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from deployments import show
from lifecycle.persistence import outbox, runs
from lifecycle.persistence.contact import at_the_gate
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body, Message, Settlement
from lifecycle.rules import contact
from lifecycle.rules.contact import Allowed, ContactChannel
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks.delivery import deliver, take_stock
from tests import cast
from tests.claims import unfounded
from tests.smtp import Inbox, mail_server
from tests.sweeping import dying_after, mortal

SENT = Settlement(State.SENT, "sent", "250 ok", "digest")
KILLED = -9


def today() -> date:
    return datetime.now(settings().zone).date()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


def consent(db: Connection, granted_on: date, withdrawn_on: date | None = None) -> None:
    db.execute(
        text("""
        INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on)
        SELECT customers.id, consent_types.id, :granted_on, :withdrawn_on FROM customers, consent_types"""),
        {"granted_on": granted_on, "withdrawn_on": withdrawn_on},
    )


def withdraw() -> None:
    with transaction() as db:
        consent(db, today(), today())


@pytest.fixture
def queued(home: Path) -> list[str]:
    """The keys of three mails to a customer, which rest on its consent of today."""
    run, keys = uuid4(), ["a", "b", "c"]
    with transaction() as db:
        runs.start(db, run, "contact-customer", today(), dry_run=False, prefect_id=None)
        cast.customer(db, "C1")
        db.execute(
            text("""
            INSERT INTO consent_types (code, title, valid_days, allows_bulk, allows_single, allows_contact)
            VALUES ('news', '', 30, true, true, true)""")
        )
        consent(db, today())
        asked = at_the_gate(db, "C1", today())
        assert asked
        allowed = contact.gate(asked.customer, ContactChannel.SINGLE, today(), None, asked.asks)
        assert isinstance(allowed, Allowed)
        mails = [
            Message(key, "single", "c@example.com", "C", today(), run, Body("s", "t", "<p>h</p>"),
                    customer_id=asked.id, operator="op", allowed=allowed)
            for key in keys
        ]  # fmt: skip
        assert outbox.queue(db, mails) == keys
    return keys


def rows(query: str) -> list[tuple[str, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def delivered(home: Path) -> Counter[str]:
    """The files in the mail folder."""
    folder = home / "mail" / "new"
    return Counter(path.name for path in folder.iterdir()) if folder.exists() else Counter()


LOGGED = "SELECT key, basis FROM contacts ORDER BY key"
STATES = "SELECT key, state FROM messages ORDER BY key"


def test_withdrawn_before_it_is_claimed_it_is_not_sent_and_listed(home: Path, queued: list[str]) -> None:
    withdraw()
    assert deliver.fn(0, soon()) == {"not sent: consent withdrawn": 3}
    assert not delivered(home)
    assert rows(LOGGED) == []
    assert rows(STATES) == [(key, "cancelled") for key in queued]
    told = rows("SELECT DISTINCT outcome, reply FROM message_attempts")
    assert told == [("not sent: no basis any more", "consent withdrawn")]
    assert rows("SELECT message_id FROM message_bodies") == []


def test_withdrawn_after_the_claim_what_is_not_yet_begun_is_not_sent(home: Path, queued: list[str]) -> None:
    with outbox.delivering(settings().timezone) as deliverer:
        first, second, third = deliverer.claims(soon(), 20)
        begun = deliverer.begin(first, "smtp:h:25")
        assert begun
        assert begun.missing is None
        withdraw()  # the first one is on its way; the statement that settles it already begins the second
        stopped = deliverer.begin(second, "smtp:h:25", outbox.Ended(begun.attempt, SENT))
        assert stopped
        assert stopped.missing == "consent withdrawn"
        again = deliverer.begin(third, "smtp:h:25")
        assert again
        assert again.missing == "consent withdrawn"
    assert rows(STATES) == [("a", "sent"), ("b", "cancelled"), ("c", "cancelled")]
    assert rows(LOGGED) == [("a", "consent")]
    with transaction() as db:
        assert unfounded(db) == []


def test_a_withdrawal_that_is_taken_back_before_the_delivery_stops_nothing(home: Path, queued: list[str]) -> None:
    withdraw()
    with transaction() as db:
        consent(db, today())
    assert deliver.fn(0, soon()) == {"sent": 3}


def test_nothing_is_recorded_of_a_customer_between_the_question_and_what_follows(queued: list[str]) -> None:
    with transaction() as asking, transaction() as withdrawing:
        at_the_gate(asking, "C1", today())
        withdrawing.execute(text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            consent(withdrawing, today(), today())
        withdrawing.rollback()


def test_a_mail_that_was_put_off_is_asked_for_at_each_try(
    home: Path, queued: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox({"RCPT": "451 4.3.0 later"})
    with mail_server(inbox) as port:
        monkeypatch.setenv("LIFECYCLE_MAIL_URL", f"smtp://127.0.0.1:{port}?tls=none")
        settings.cache_clear()
        assert deliver.fn(0, soon()) == {"deferred": 3}
        assert deliver.fn(0, soon() + timedelta(minutes=2)) == {"deferred": 3}
        assert rows(LOGGED) == []
        inbox.answers.clear()
        with transaction() as db:
            db.execute(text("UPDATE messages SET due_at = now() + interval '9 days' WHERE key <> 'a'"))
        assert deliver.fn(0, soon() + timedelta(minutes=10)) == {"sent": 1}
        withdraw()
        assert deliver.fn(0, soon() + timedelta(days=10)) == {"not sent: consent withdrawn": 2}
    assert len(inbox.received) == 1
    assert rows(LOGGED) == [("a", "consent")]
    with transaction() as db:
        assert unfounded(db) == []


def test_put_off_past_its_consents_last_day_it_is_not_sent(home: Path, queued: list[str]) -> None:
    assert deliver.fn(0, soon() + timedelta(days=31)) == {"not sent: consent lapsed": 3}


def dies_before_it_settles() -> None:
    """A deliverer of another process, killed (-9) when its last mail is handed over."""
    program = """
import os, signal
from datetime import UTC, datetime, timedelta
from lifecycle.persistence.outbox import Deliverer
from tasks.delivery import deliver
Deliverer.settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
deliver.fn(0, datetime.now(UTC) + timedelta(seconds=5))"""
    died = subprocess.run([sys.executable, "-c", program], env=os.environ.copy(), timeout=60, check=False)
    assert died.returncode == KILLED


def test_killed_between_sending_and_settling_the_contact_is_logged_once(home: Path, queued: list[str]) -> None:
    dies_before_it_settles()
    assert rows(LOGGED) == [("a", "consent"), ("b", "consent")]
    withdraw()
    take_stock.fn()  # finds the third in the folder
    assert not deliver.fn(0, soon())
    assert len(delivered(home)) == 3
    assert rows(LOGGED) == [(key, "consent") for key in queued]
    with transaction() as db:
        assert unfounded(db) == []  # it rested on what was known when it was begun


@pytest.mark.parametrize(("decision", "state", "logged"), [("sent", "sent", 3), ("again", "cancelled", 2)])
def test_an_operators_decision_about_a_doubt(
    home: Path, queued: list[str], monkeypatch: pytest.MonkeyPatch, decision: show.Decision, state: str, logged: int
) -> None:
    with mail_server(Inbox()) as port:
        monkeypatch.setenv("LIFECYCLE_MAIL_URL", f"smtp://127.0.0.1:{port}?tls=none")
        settings.cache_clear()
        dies_before_it_settles()
        assert take_stock.fn() == {"in_doubt": 1}
        withdraw()
        show.resolve(["c"], decision)
        deliver.fn(0, soon())
    assert rows(STATES)[-1] == ("c", state)
    assert rows(LOGGED) == [(key, "consent") for key in queued[:logged]]
    with transaction() as db:
        assert unfounded(db) == []


def test_dying_at_any_statement_each_mail_that_was_sent_is_logged_once(home: Path, queued: list[str]) -> None:
    with mortal():
        for statements in range(1, 12):
            with dying_after(statements):
                deliver.fn(0, soon())
            take_stock.fn()
            with transaction() as db:
                assert unfounded(db) == []
    assert not deliver.fn(0, soon())
    assert len(delivered(home)) == 3
    assert rows(LOGGED) == [(key, "consent") for key in queued]
