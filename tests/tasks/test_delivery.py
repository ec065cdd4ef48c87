"""Delivery end to end: outbox to mail folder or mail server."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from lifecycle.persistence import outbox, runs
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tasks.delivery import deliver, look, take_stock
from tests.cast import reports
from tests.smtp import HANG_UP, Inbox, mail_server, scripted_server

DAY = date(2019, 9, 1)


def queue(*keys: str, recipient: str = "r@example.com") -> None:
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
        body = Body("Καλημέρα", "text", "<p>html</p>")
        reports(db, keys, run_id, DAY, body, recipient)


def deliver_now() -> Counter[str]:
    take_stock.fn()
    return deliver.fn(0, datetime.now(UTC) + timedelta(seconds=5))


def mails(home: Path) -> list[Path]:
    return sorted((home / "mail" / "new").iterdir())


def mail_goes_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_MAIL_URL", f"smtp://127.0.0.1:{port}?tls=none")
    settings.cache_clear()


def dies_while_sending(carrier: str) -> None:
    """As if a deliverer had been killed after it said that it would send."""
    with pytest.raises(KeyboardInterrupt), outbox.delivering("UTC") as deliverer:  # noqa: PT012
        message = next(deliverer.claims(datetime.now(UTC) + timedelta(seconds=5), 1))
        deliverer.begin(message, carrier)
        raise KeyboardInterrupt


def test_each_message_arrives_once(home: Path) -> None:
    queue("a", "b")
    assert deliver_now() == {"sent": 2}
    assert deliver_now() == {}
    assert len(mails(home)) == 2
    assert look.fn() == {}


def test_the_message_id_is_the_keys_own(home: Path) -> None:
    queue("a")
    deliver_now()
    first = message_from_bytes(mails(home)[0].read_bytes())["Message-ID"]
    with transaction() as db:
        db.execute(text("UPDATE messages SET state = 'in_doubt'"))
        db.execute(
            text("INSERT INTO message_bodies (message_id, subject, text, html) SELECT id, '', '', '' FROM messages")
        )
        assert outbox.resolve(db, ["a"], State.QUEUED, [State.IN_DOUBT]) == ["a"]
    mails(home)[0].unlink()
    deliver_now()
    assert message_from_bytes(mails(home)[0].read_bytes())["Message-ID"] == first


def test_a_poisoned_message_does_not_hold_up_the_rest(home: Path) -> None:
    queue("bad", recipient="no address")
    queue("good")
    assert deliver_now() == {"failed for good": 1, "sent": 1}
    assert look.fn() == {"failed": 1}
    with transaction() as db:
        [reply] = db.execute(text("SELECT reply FROM message_attempts WHERE outcome = 'failed for good'")).scalars()
    assert "no address" not in reply  # what cannot be used may be personal all the same


def test_killed_after_the_mail_was_written_it_is_found_there(home: Path) -> None:
    queue("a")
    deliver_now()
    with transaction() as db:
        db.execute(text("UPDATE messages SET state = 'in_doubt'"))
    assert take_stock.fn() == {}
    with transaction() as db:
        assert db.execute(text("SELECT state FROM messages")).scalar() == "sent"


def test_killed_before_the_mail_was_written_it_is_sent(home: Path) -> None:
    queue("a")
    dies_while_sending(f"maildir:{home / 'mail'}")
    assert deliver_now() == {"sent": 1}
    assert len(mails(home)) == 1


def test_evidence_is_only_where_it_was_handed_to(home: Path) -> None:
    queue("a")
    dies_while_sending("smtp:mail.example.com:587")
    assert deliver_now() == {}
    assert look.fn() == {"in_doubt": 1}


def test_no_reply_after_the_final_dot_is_in_doubt_and_is_not_repeated(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue("a")
    with scripted_server({".": HANG_UP}) as server:
        mail_goes_to(server.port, monkeypatch)
        assert deliver_now() == {"in doubt": 1}
        assert deliver_now() == {}
    assert look.fn() == {"in_doubt": 1}


@pytest.mark.parametrize(
    ("reply", "outcome", "state"),
    [("451 4.3.0 later", "deferred", "queued"), ("550 5.1.1 unknown", "failed for good", "failed")],
)
def test_what_the_server_says_decides(
    home: Path, monkeypatch: pytest.MonkeyPatch, reply: str, outcome: str, state: str
) -> None:
    queue("a")
    with mail_server(Inbox({"RCPT": reply})) as port:
        mail_goes_to(port, monkeypatch)
        assert deliver_now() == {outcome: 1}
        assert deliver_now() == {}  # not before its time
    assert look.fn() == {state: 1}


def test_given_up_after_the_last_wait(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue("a")
    with transaction() as db:
        db.execute(text("UPDATE messages SET failures = 9"))
    with mail_server(Inbox({"DATA": "450 later"})) as port:
        mail_goes_to(port, monkeypatch)
        assert deliver_now() == {"failed for good": 1}


def test_an_unreachable_server_stops_the_run_and_fails_no_message(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue("a", "b", "c")
    with transaction() as db:
        db.execute(text("UPDATE messages SET failures = 50"))
    mail_goes_to(9, monkeypatch)
    assert deliver_now() == {"mail server unreachable": 1}
    assert look.fn() == {"queued": 3}
    inbox = Inbox()
    with mail_server(inbox) as port:
        mail_goes_to(port, monkeypatch)
        assert deliver_now() == {"sent": 2}
