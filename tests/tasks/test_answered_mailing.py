"""From the mailing as it is sent to the next one that is not: what a mail program does with List-Unsubscribe."""

import mailbox
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage, Message
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from deployments.unsubscribe import one_click
from tasks.process_unsubscribes import process_inbox
from tests import mailing
from tests.mailing import DAY
from tests.sweeping import started

EVERYBODY_WHO_ALLOWS_IT = 3


@pytest.fixture
def sent(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Message]:
    """One mailing has arrived, by recipient; the next one is queued."""
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_INBOX", f"maildir://{home}/inbox")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_ADDRESS", "stop@example.com")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_URL", "https://example.com/stop?list=1")
    mailing.business(home, monkeypatch)
    for name in ("spring", "summer"):
        mailing.write(home, name=name)
    mailing.run(name="spring")
    assert mailing.deliver() == {"mailings: sent": EVERYBODY_WHO_ALLOWS_IT}
    mailing.run(name="summer")
    arrived = [message_from_bytes(mail.read_bytes()) for mail in (home / "mail" / "new").iterdir()]
    return {mail["To"].rpartition("<")[2].rstrip(">"): mail for mail in arrived}


def links(mail: Message) -> list[str]:
    return [link.strip("<> \r\n") for link in mail["List-Unsubscribe"].split(",")]


def test_an_answer_by_mail_stops_the_mailing_that_is_queued(sent: dict[str, Message], home: Path) -> None:
    link = urlsplit(links(sent["mario@example.com"])[0])
    answer = EmailMessage()
    answer["From"], answer["To"] = "mario@example.com", unquote(link.path)
    answer["Subject"] = parse_qs(link.query)["subject"][0]
    answer["Message-ID"] = "<answer@example.com>"
    answer.set_content("")
    assert answer["To"] == "stop@example.com"
    inbox = mailbox.Maildir(home / "inbox")
    inbox.add(answer)
    inbox.add(sent["amelia@example.com"])  # bounced as it was, or kept as a copy
    done = process_inbox.fn(DAY, datetime.now(UTC), started("process-unsubscribes", DAY), dry_run=False)
    assert done == {
        "customers unsubscribed": 1,
        "consents withdrawn": 1,
        "objections recorded": 1,
        "mails left for a person: no token": 1,
    }
    assert mailing.deliver() == {"mailings: sent": EVERYBODY_WHO_ALLOWS_IT - 1, "mailings: not sent: objected": 1}


def test_a_click_stops_the_mailing_that_is_queued(sent: dict[str, Message]) -> None:
    mail = sent["eleni@example.com"]  # she consented before today, the day of the click
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    one_click(parse_qs(urlsplit(links(mail)[1]).query)["token"])
    assert mailing.deliver() == {"mailings: sent": EVERYBODY_WHO_ALLOWS_IT - 1, "mailings: not sent: objected": 1}
