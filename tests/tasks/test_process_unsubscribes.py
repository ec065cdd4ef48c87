"""Mails that stop mailings: read once, recorded once, and nothing that only quotes ours counts."""

import mailbox
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text

from lifecycle.persistence import outbox, runs
from lifecycle.persistence.database import transaction
from lifecycle.rendering.message import Letter, Mailbox, compose
from lifecycle.rendering.templates import Content
from lifecycle.rules.outbox import Channel
from lifecycle.rules.unsubscribing import Unsubscribing, token_of
from lifecycle.settings import settings
from tasks.process_unsubscribes import NOT_READ, PORTION, process_inbox
from tests import cast
from tests.imap import HANG_UP, PASSWORD, USER, imap_server, logged_in, scripted_server

DAY = date(2026, 3, 10)
NEXT_DAY = DAY + timedelta(days=1)
SECRET = "a secret of forty characters, not 16 ..."
ADDRESS = "stop@example.com"
LOGIN = f"{quote(USER)}:{quote(PASSWORD, safe='')}"

UNSUBSCRIBED = {"customers unsubscribed": 1, "consents withdrawn": 1, "objections recorded": 1}
ADDS_NOTHING = {"mails that add nothing: asked before": 1}
NO_TOKEN = {"mails left for a person: no token": 1}
NO_TOKEN_OF_OURS = {"mails left for a person: no token of ours": 1}


@pytest.fixture
def inbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> mailbox.Maildir:
    folder = home / "inbox"
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", SECRET)
    read_from(folder.as_uri().replace("file:", "maildir:"), monkeypatch)
    with transaction() as db:
        for code, allows in (("NEWS", "true, true, false"), ("CALLS", "false, false, true")):
            db.execute(
                text(f"""
                INSERT INTO consent_types (code, title, valid_days, allows_bulk, allows_single, allows_contact)
                VALUES ('{code}', '{code}', NULL, {allows})""")
            )
    return mailbox.Maildir(folder)


def read_from(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_INBOX", url)
    settings.cache_clear()


def customer(code: str, *, granted: Sequence[date] = (date(2026, 1, 1),)) -> int:
    """One that allows bulk mail and calls. Returns its id."""
    with transaction() as db:
        id_ = cast.customer(db, code)
    for day in granted:
        consent(id_, day)
        consent(id_, day, "CALLS")
    return id_


def consent(customer: int, granted_on: date, code: str = "NEWS", withdrawn_on: date | None = None) -> None:
    with transaction() as db:
        db.execute(
            text("""
            INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on)
            SELECT :customer, id, :day, :withdrawn_on FROM consent_types WHERE code = :code"""),
            {"customer": customer, "day": granted_on, "code": code, "withdrawn_on": withdrawn_on},
        )


def queued(customer: int, key: str, channel: Channel = Channel.BULK) -> int:
    """A mail that waits for being sent. Returns its id."""
    with transaction() as db:
        added = db.execute(
            text("""
            INSERT INTO messages (
                key, kind, channel, state, recipient, recipient_name, customer_id, business_date, basis)
            VALUES (:key, 'mailing', :channel, 'queued', 'c@example.com', '', :customer, :day, 'unasked')
            RETURNING id"""),
            {"key": key, "channel": channel, "customer": customer, "day": DAY},
        )
        return int(added.scalar_one())


def subject(message: int, secret: str = SECRET) -> str:
    return f"unsubscribe {token_of(message, secret)}"


def mail(subject: str, message_id: str = "<1@example.com>", body: str = "") -> bytes:
    return f"From: c@example.com\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n\r\n{body}".encode()


def run(day: date = DAY, *, dry_run: bool = False) -> Counter[str]:
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, "process-unsubscribes", day, dry_run=dry_run, prefect_id=None)
    return process_inbox.fn(day, datetime.now(UTC), run_id, dry_run=dry_run)


def left(inbox: mailbox.Maildir) -> int:
    assert not any("S" in each.get_flags() for each in inbox)
    return len(inbox)


def rows(query: str) -> list[tuple[object, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def withdrawals() -> list[tuple[object, ...]]:
    return rows("""
        SELECT customers.code, consent_types.code, granted_on, withdrawn_on FROM consents
        JOIN customers ON customers.id = customer_id JOIN consent_types ON consent_types.id = consent_type_id
        WHERE withdrawn_on IS NOT NULL ORDER BY 1, 2, 3, consents.id""")


def objections() -> list[tuple[object, ...]]:
    return rows("""
        SELECT code, channel, objected_on FROM objections JOIN customers ON customers.id = customer_id ORDER BY 1, 3""")


def begun() -> list[str | None]:
    """What the gate says of the bulk mails that wait, as each is begun."""
    with outbox.delivering("UTC", Channel.BULK) as deliverer:
        until = datetime.now(UTC) + timedelta(seconds=5)
        started = [deliverer.begin(message, "maildir:test") for message in deliverer.claims(until, 10)]
    return [each.missing for each in started if each]


def test_answering_to_the_address_in_a_mailing_stops_the_next_one(inbox: mailbox.Maildir) -> None:
    token = token_of(queued(customer("C1"), "first"), SECRET)
    mailing = message_from_bytes(
        compose(
            Letter(
                message_id="<m@example.com>",
                kind="mailing",
                sent_at=datetime(2026, 3, 1, tzinfo=UTC),
                sender=Mailbox("news@example.com"),
                recipient=Mailbox("c@example.com"),
                content=Content("News", "text", "<p>html</p>"),
                unsubscribing=Unsubscribing(ADDRESS, token, "https://example.com/stop"),
            )
        )
    )
    link = urlsplit(mailing["List-Unsubscribe"].replace("\r\n", "").split(",")[0].strip("<>"))
    answer = EmailMessage()
    answer["To"], answer["From"] = unquote(link.path), "c@example.com"
    answer["Subject"] = parse_qs(link.query)["subject"][0]
    answer["Message-ID"] = "<answer@example.com>"
    answer.set_content("")
    assert answer["To"] == ADDRESS
    inbox.add(answer)
    assert run() == UNSUBSCRIBED
    assert left(inbox) == 0
    assert withdrawals() == [("C1", "NEWS", date(2026, 1, 1), DAY)]
    assert objections() == [("C1", "bulk", DAY)]
    told = "mail <answer@example.com>"
    assert rows("SELECT evidence, operator FROM objections") == [(told, None)]
    assert rows("SELECT evidence, operator FROM consents WHERE withdrawn_on IS NOT NULL") == [(told, None)]
    queued(customer("C2"), "of another")
    assert begun() == ["objected", None]
    assert rows("SELECT key, state FROM messages ORDER BY id") == [("first", "cancelled"), ("of another", "sending")]
    assert rows("SELECT outcome, reply FROM message_attempts ORDER BY id")[0] == (outbox.NOT_ALLOWED, "objected")


def test_with_the_switch_for_bulk_mail_off_the_objection_stops_it(inbox: mailbox.Maildir) -> None:
    inbox.add(mail(subject(queued(customer("C1"), "first"))))
    with transaction() as db:
        db.execute(
            text("INSERT INTO switches (channel, asks, operator, business_date) VALUES ('bulk', false, 'OP', :day)"),
            {"day": DAY},
        )
    run()
    assert begun() == ["objected"]
    assert rows("SELECT state FROM messages") == [("cancelled",)]


def test_every_consent_to_bulk_mail_ends_but_those_that_were_withdrawn_and_those_of_later_days(
    inbox: mailbox.Maildir,
) -> None:
    granted = [date(2025, 1, 1), date(2026, 1, 1), DAY, NEXT_DAY]
    id_ = customer("C1", granted=granted)
    consent(id_, date(2025, 1, 1), withdrawn_on=date(2025, 6, 1))
    consent(id_, date(2026, 1, 1), withdrawn_on=date(2026, 12, 1))
    inbox.add(mail(subject(queued(id_, "first"))))
    assert run() == UNSUBSCRIBED | {"consents withdrawn": 2}
    assert withdrawals() == [
        ("C1", "NEWS", date(2025, 1, 1), date(2025, 6, 1)),
        ("C1", "NEWS", date(2026, 1, 1), date(2026, 12, 1)),
        ("C1", "NEWS", date(2026, 1, 1), DAY),
        ("C1", "NEWS", DAY, DAY),
    ]


def test_a_second_token_and_a_second_mail_add_nothing(inbox: mailbox.Maildir) -> None:
    id_ = customer("C1")
    first, second = queued(id_, "first"), queued(id_, "second")
    inbox.add(mail(f"Re: {subject(first)} and {subject(second).upper()}"))
    assert run() == UNSUBSCRIBED
    inbox.add(mail(subject(second), "<2@example.com>"))
    assert run() == ADDS_NOTHING
    assert (len(withdrawals()), len(objections()), left(inbox)) == (1, 1, 0)


def test_a_mail_is_no_new_request_when_it_is_read_again(inbox: mailbox.Maildir) -> None:
    """The run ends between the commit and the removal; before the next one the customer has consented anew."""
    id_ = customer("C1")
    content = mail(subject(queued(id_, "first")))
    inbox.add(content)
    run()
    consent(id_, NEXT_DAY)
    inbox.add(content)
    assert run(NEXT_DAY) == ADDS_NOTHING
    assert (len(withdrawals()), objections()) == (1, [("C1", "bulk", DAY)])
    assert begun() == [None]
    inbox.add(mail(subject(queued(id_, "second")), "<2@example.com>"))
    assert run(NEXT_DAY) == UNSUBSCRIBED
    assert objections() == [("C1", "bulk", DAY), ("C1", "bulk", NEXT_DAY)]


def test_a_connection_lost_after_the_commit_loses_nothing(
    inbox: mailbox.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = f"Subject: {subject(queued(customer('C1'), 'first'))}\r\nMessage-ID: <1@example.com>\r\n\r\n"
    fetched = f"* 1 FETCH (UID 7 BODY[HEADER] {{{len(header)}}}\r\n{header})\r\nTAG OK done\r\n"
    script = {"UID SEARCH": "* SEARCH 7\r\nTAG OK done\r\n", "UID FETCH": fetched}
    with scripted_server({**script, "UID STORE": HANG_UP}) as port:
        read_from(f"imap://u:s3cret@127.0.0.1:{port}?tls=none", monkeypatch)
        assert run() == UNSUBSCRIBED | {"inbox: unreachable": 1}
    with scripted_server(script) as port:
        read_from(f"imap://u:s3cret@127.0.0.1:{port}?tls=none", monkeypatch)
        assert run(NEXT_DAY) == ADDS_NOTHING
    assert (len(withdrawals()), len(objections())) == (1, 1)


def test_runs_side_by_side_record_once(inbox: mailbox.Maildir) -> None:
    messages = [queued(customer(f"C{number}"), f"m{number}") for number in range(5)]
    for number, message in enumerate(messages):
        inbox.add(mail(subject(message), f"<{number}@example.com>"))
    with ThreadPoolExecutor(4) as side_by_side:
        counts: Counter[str] = sum(side_by_side.map(lambda _: run(), range(4)), Counter())
    assert counts["customers unsubscribed"] == counts["consents withdrawn"] == counts["objections recorded"] == 5
    assert (len(withdrawals()), len(objections()), left(inbox)) == (5, 5, 0)


@pytest.mark.parametrize(
    "heading",
    ["Undelivered Mail Returned to Sender", "Automatic reply: News of March", "Re: News of March", ""],
)
def test_what_only_quotes_our_mail_is_left_for_a_person(inbox: mailbox.Maildir, heading: str) -> None:
    quoted = subject(queued(customer("C1"), "first"))
    inbox.add(mail(heading, body=f"List-Unsubscribe: <mailto:{ADDRESS}?subject={quoted}>\r\n\r\nSubject: {quoted}\r\n"))
    assert run() == NO_TOKEN
    assert (left(inbox), withdrawals(), objections()) == (1, [], [])


def test_a_token_of_no_mailing_of_ours_is_left_for_a_person(inbox: mailbox.Maildir) -> None:
    id_ = customer("C1")
    bulk, notice = queued(id_, "first"), queued(id_, "notice", Channel.MAIL)
    real = token_of(bulk, SECRET)
    for number, wrong in enumerate(
        [
            subject(bulk, "another secret"),
            subject(notice),
            subject(10**6),
            f"unsubscribe {real[:-1]}{'0' if real[-1] != '0' else '1'}",
            f"unsubscribe u-{notice:x}{real[real.rindex('-') :]}",
            f"unsubscribe u-{'f' * 16}-{'0' * 32}",
        ]
    ):
        inbox.add(mail(wrong, f"<{number}@example.com>"))
    assert run() == {"mails left for a person: no token of ours": 6}
    assert (left(inbox), withdrawals(), objections()) == (6, [], [])


def test_one_of_ours_beside_another_is_enough(inbox: mailbox.Maildir) -> None:
    message = queued(customer("C1"), "first")
    inbox.add(mail(f"{subject(message, 'another secret')} {subject(message)}"))
    assert run() == UNSUBSCRIBED
    assert left(inbox) == 0


def test_of_an_erased_customer_nothing_is_recorded(inbox: mailbox.Maildir) -> None:
    inbox.add(mail(subject(queued(customer("C1"), "first"))))
    with transaction() as db:
        db.execute(text("UPDATE customers SET erased_on = :day, name = ''"), {"day": DAY})
    assert run() == ADDS_NOTHING
    assert (left(inbox), withdrawals(), objections()) == (0, [], [])


def test_mails_without_a_message_id_are_taken_too(inbox: mailbox.Maildir) -> None:
    id_ = customer("C1")
    inbox.add(f"Subject: {subject(queued(id_, 'first'))}\r\n\r\n".encode())
    inbox.add(f"Subject: {subject(queued(id_, 'second'))}\r\n\r\n".encode())
    assert run() == UNSUBSCRIBED | ADDS_NOTHING
    assert rows("SELECT evidence FROM objections") == [(f"mail without Message-ID, read on {DAY}",)]


def test_a_dry_run_lists_what_the_run_does_and_does_nothing(inbox: mailbox.Maildir) -> None:
    asks = subject(queued(customer("C1"), "first"))
    for number in range(PORTION + 2):
        inbox.add(mail(asks, f"<{number}@example.com>"))
    inbox.add(mail("hello"))
    expected = UNSUBSCRIBED | NO_TOKEN | {"mails that add nothing: asked before": PORTION + 1}
    assert run(dry_run=True) == expected
    assert (left(inbox), withdrawals(), objections()) == (PORTION + 3, [], [])
    assert run() == expected
    assert (left(inbox), len(withdrawals()), len(objections())) == (1, 1, 1)


def test_from_an_imap_folder(inbox: mailbox.Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queued(customer("C1"), "first")
    with imap_server() as port:
        read_from(f"imap://{LOGIN}@127.0.0.1:{port}?tls=none", monkeypatch)
        with logged_in(port) as session:
            for content in (mail(subject(message)), mail("hello")):
                session.append("INBOX", "", "", content)
        assert run() == UNSUBSCRIBED | NO_TOKEN
        assert run() == NO_TOKEN
        with logged_in(port) as session:
            assert session.select("INBOX", readonly=True)[1] == [b"1"]
        read_from(f"imap://{quote(USER)}:s3cret@127.0.0.1:{port}?tls=none", monkeypatch)
        assert run() == {"inbox: login refused": 1}


def test_an_inbox_that_cannot_be_read_fails_the_run_by_name_alone(
    inbox: mailbox.Maildir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read_from("maildir:///no/such/folder", monkeypatch)
    assert run() == {"inbox: no such folder": 1}
    read_from("imap://u:s3cret@127.0.0.1:9?tls=none", monkeypatch)
    assert run() == {"inbox: unreachable": 1}
    assert {"inbox: no such folder", "inbox: unreachable"} <= set(NOT_READ.values())
    assert "Connection refused" in caplog.text
    assert "s3cret" not in caplog.text


def test_without_an_inbox_the_run_says_so(home: Path) -> None:
    assert run() == {"inbox: none, LIFECYCLE_UNSUBSCRIBE_INBOX is not set": 1}
