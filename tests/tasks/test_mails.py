"""Mails about cards and services on the database: what they say is true when they are sent, or they are not sent."""

from collections.abc import Iterator
from datetime import date, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from lifecycle.settings import settings
from tasks.delivery import FAILED, OBSOLETE
from tests.billing import DAY, IBAN, change, hold, rows, run
from tests.paying import bring
from tests.sweeping import deliver_now, sweep


@pytest.fixture(autouse=True)
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A customer with one service that expires on 20 March 2026: 146.40 EUR a year."""
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", IBAN)
    settings.cache_clear()
    hold("C1", {"S1": date(2026, 3, 20)})
    yield
    settings.cache_clear()


def mails(home: Path) -> dict[str, EmailMessage]:
    """What was sent, the last of each kind."""
    found = {}
    for file in sorted((home / "mail" / "new").iterdir(), key=lambda file: file.stat().st_mtime_ns):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        found[str(mail["X-Lifecycle-Kind"])] = mail
    return found


def attached(mail: EmailMessage) -> list[tuple[str | None, bytes]]:
    return [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()]


def words(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(str(body.get_content()).split())


def paid(home: Path, amount: str) -> None:
    bring(home, f"B{amount},2026-03-10,{amount},EUR,PF-2026-000001,,", name=f"{amount}.csv")


def test_a_card_is_mailed_with_the_document_exactly_as_it_was_stored(home: Path) -> None:
    run()
    assert deliver_now() == {"sent": 1}
    mail = mails(home)["billing-card"]
    ((document,),) = rows("SELECT document FROM card_revisions")
    assert attached(mail) == [("PF-2026-000001.pdf", document)]
    assert "PF-2026-000001" in mail["Subject"]
    assert "IT60 X054 2811 1010 0000 0123 456" in words(mail)


@pytest.mark.parametrize(
    "harm", ["UPDATE card_revisions SET document = 'x'", "DELETE FROM card_revisions"], ids=["changed", "missing"]
)
def test_a_mail_whose_document_is_not_there_as_it_was_stored_is_not_sent(home: Path, harm: str) -> None:
    run()
    change(harm)
    assert deliver_now() == {FAILED: 1}
    ((reply,),) = rows("SELECT reply FROM message_attempts")
    assert reply == "PF-2026-000001, revision 1: the document is not there as it was stored"


def test_a_card_that_was_revised_before_it_was_sent_is_sent_in_its_last_revision(home: Path) -> None:
    run()
    change("UPDATE products SET price = 100")
    run(DAY + timedelta(days=1))
    assert deliver_now() == {"sent": 1, OBSOLETE: 1}
    assert [name for name, _ in attached(mails(home)["billing-card"])] == ["PF-2026-000001-2.pdf"]


def test_a_card_that_was_paid_before_it_was_sent_is_not_sent(home: Path) -> None:
    run()
    paid(home, "146.40")
    assert deliver_now() == {"sent": 1, OBSOLETE: 1}
    assert set(mails(home)) == {"renewal-confirmed"}


def test_a_reminder_has_the_document_and_after_a_part_payment_the_amount_of_now(home: Path) -> None:
    run()
    run(date(2026, 3, 13))
    deliver_now()
    assert [name for name, _ in attached(mails(home)["card-reminder"])] == ["PF-2026-000001.pdf"]
    run(date(2026, 3, 19))
    paid(home, "46.40")
    assert deliver_now() == {OBSOLETE: 1}  # paid in part, and not overdue
    change("UPDATE cards SET reminded_for = '2026-03-13'")
    change("UPDATE messages SET key = key || '/before' WHERE key LIKE '%2026-03-19'")
    run(date(2026, 3, 21))
    assert deliver_now() == {"sent": 1}
    reminder = mails(home)["card-reminder"]
    assert "100,00" in words(reminder)
    assert attached(reminder) == []


def test_a_renewal_is_confirmed_with_the_new_expiry(home: Path) -> None:
    run()
    deliver_now()
    paid(home, "146.40")
    assert deliver_now() == {"sent": 1}
    assert "20 mar 2027" in words(mails(home)["renewal-confirmed"])


def test_what_becomes_of_an_unpaid_service_is_told(home: Path) -> None:
    run()
    deliver_now()
    for day, kind in (
        (date(2026, 3, 28), "service-suspended"),
        (date(2026, 5, 13), "deletion-warning"),
        (date(2026, 5, 20), "service-deleted"),
    ):
        sweep(day)
        deliver_now()
        assert kind in mails(home)
    assert "20 maggio 2026" in words(mails(home)["deletion-warning"])


def test_a_warning_of_deletion_is_not_sent_after_the_payment(home: Path) -> None:
    run()
    deliver_now()
    sweep(date(2026, 3, 28))
    sweep(date(2026, 5, 13))
    paid(home, "146.40")
    deliver_now()
    assert set(mails(home)) == {"billing-card", "renewal-confirmed"}
