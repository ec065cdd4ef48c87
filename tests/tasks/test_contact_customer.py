"""Contacting one customer on the database: allowed and queued together, or nothing at all."""

import threading
from collections import Counter
from datetime import date, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.contact import ContactChannel
from lifecycle.rules.contact_customer import Wish
from lifecycle.rules.findings import BadInput
from tasks.contact_customer import UNSENT, contact
from tests import cast
from tests.sweeping import deliver_now, started

DAY = date(2026, 3, 10)
SINGLE, CONTACT = ContactChannel.SINGLE, ContactChannel.CONTACT
MAIL = Wish("C1", SINGLE, None, "anna", "News for {{ customer_name }}", "Dear {{ customer_name }},\n\nSECRET-TEXT")
CALL = Wish("C1", CONTACT, None, "anna")


@pytest.fixture(autouse=True)
def customer(home: Path) -> None:
    """One that said nothing; a consent type for mails of ten days, and a motive besides the contract."""
    with transaction() as db:
        cast.customer(db, "C1")
        for code in ("anna", "bert"):
            cast.operator(db, code)
        db.execute(text("UPDATE customers SET email = 'c1@example.com', locale = 'en'"))
        db.execute(
            text("""
            INSERT INTO consent_types (code, title, valid_days, allows_bulk, allows_single, allows_contact)
            VALUES ('mail', 'Mails', 10, false, true, false)""")
        )
        db.execute(text("INSERT INTO motives (code, title, duty) VALUES ('question', 'An answer', false)"))


def change(statement: str, **values: Any) -> None:
    with transaction() as db:
        db.execute(text(statement), values)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def consents(granted_on: date, withdrawn_on: date | None = None) -> None:
    change(
        "INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on) "
        "SELECT customers.id, consent_types.id, :granted, :withdrawn FROM customers, consent_types",
        granted=granted_on,
        withdrawn=withdrawn_on,
    )


def objects(channel: ContactChannel, on: date = DAY) -> None:
    change(
        "INSERT INTO objections (customer_id, channel, objected_on) SELECT id, :channel, :on FROM customers",
        channel=channel,
        on=on,
    )


def wished(
    *, channel: ContactChannel = SINGLE, motive: str | None = None, day: date = DAY, dry_run: bool = False, **other: str
) -> tuple[dict[str, int], str]:
    """Do it for a wish that differs from the usual one so."""
    usual = MAIL if channel is SINGLE else CALL
    fields = {name: other.get(name, getattr(usual, name)) for name in ("customer", "operator", "subject", "body")}
    wish = Wish(channel=channel, motive=motive, **fields)
    run_id = started("contact-customer", day)
    counts, grounds = contact.fn(wish, day, run_id, other.get("call", str(uuid4())), dry_run=dry_run)
    return dict(counts), grounds


def refused(**wish: Any) -> list[str]:
    """What is said of a wish that is refused and of which nothing is written."""
    with pytest.raises(BadInput) as error:
        wished(**wish)
    assert rows("SELECT FROM messages UNION ALL SELECT FROM contacts UNION ALL SELECT FROM message_bodies") == []
    assert "SECRET-TEXT" not in str(error.value)
    return [str(finding).partition("; expected ")[0] for finding in error.value.findings]


def mail(home: Path) -> Any:
    [file] = (home / "mail" / "new").iterdir()
    return message_from_bytes(file.read_bytes(), policy=policy.default)


def test_without_consent_and_motive_nothing_happens_and_it_is_said_what_is_missing() -> None:
    nothing = "and no motive was chosen"
    assert refused() == [f"motive: no consent allows single mail, {nothing}"]
    assert refused(channel=CONTACT) == [f"motive: no consent allows calls, {nothing}"]
    consents(DAY - timedelta(days=10))
    assert refused() == [f"motive: consent mail lapsed on 2026-03-10, {nothing}"]
    consents(DAY - timedelta(days=3), DAY)
    assert refused() == [f"motive: consent mail was withdrawn on 2026-03-10, {nothing}"]
    objects(SINGLE)
    duty = "only a motive of duty helps"
    assert refused() == [f"motive: the customer objected to single mail on 2026-03-10: {duty}"]
    assert refused(motive="question") == [f"motive: the customer objected to single mail on 2026-03-10: {duty}"]


def test_the_motives_to_choose_from_are_listed() -> None:
    with pytest.raises(BadInput) as error:
        wished()
    [finding] = error.value.findings
    assert finding.expected == "one of: contract (Performance of the contract, a duty), question (An answer)"


def test_everything_that_is_wrong_is_found_at_once() -> None:
    change("UPDATE customers SET email = NULL")
    assert refused(motive="whim", operator="otto", subject="", body="{{ SECRET-TEXT }}\n{{ customer_name.x }}") == [
        "body, line 1: is not text that can be sent",
        "body, line 2: is not text that can be sent",
        "customer: 'C1' has no address",
        "motive: 'whim' is no motive's code",
        "operator: 'otto' is no operator",
        "subject: is empty",
    ]
    assert refused(customer="C9", motive="question", subject="a\nb", body=" ") == [
        "body: is empty",
        "customer: 'C9' is no customer's code",
        "subject: has several lines",
    ]
    assert refused(channel=CONTACT, motive="question", subject="a", body="b") == [
        "body: is given",
        "subject: is given",
    ]
    change("UPDATE customers SET name = '', email = NULL, erased_on = '2026-03-01'")
    assert refused(motive="contract") == ["customer: was erased"]


def test_with_a_consent_the_mail_is_sent_and_logged_with_it(home: Path) -> None:
    consents(DAY)
    assert wished() == ({"queued": 1, "basis: consent": 1}, "consent mail of 2026-03-10, valid to 2026-03-19")
    change("UPDATE consent_types SET valid_days = NULL")  # what is sent is asked again, for today
    assert deliver_now() == {"sent": 1}
    sent = mail(home)
    assert (sent["To"].addresses[0].addr_spec, sent["Subject"]) == ("c1@example.com", "News for Customer C1")
    assert sent["X-Lifecycle-Kind"] == "single"
    assert sent.get_body(("plain",)).get_content().split()[:4] == ["Dear", "Customer", "C1,", "SECRET-TEXT"]
    assert rows("SELECT channel, basis, motive, operator, consent_id IS NOT NULL FROM contacts") == [
        ("single", "consent", None, "anna", True)
    ]
    assert rows("SELECT FROM message_bodies") == []


def test_without_a_consent_a_motive_does_and_is_logged(home: Path) -> None:
    assert wished(motive="question") == ({"queued": 1, "basis: motive": 1}, "motive: question")
    assert deliver_now() == {"sent": 1}
    assert rows("SELECT channel, basis, motive, operator FROM contacts") == [("single", "motive", "question", "anna")]


def test_a_customer_that_objected_gets_what_a_duty_asks_for() -> None:
    objects(SINGLE)
    assert wished(motive="contract") == ({"queued": 1, "basis: duty": 1}, "duty: contract")
    assert deliver_now() == {"sent": 1}


def test_where_the_switch_is_off_nothing_is_asked_for_but_an_objection() -> None:
    change(
        "INSERT INTO switches (channel, asks, operator, business_date) VALUES ('single', false, 'boss', '2026-01-01')"
    )
    assert wished()[1] == "no basis is asked for: the channel's switch is off"
    objects(SINGLE)
    with pytest.raises(BadInput):
        wished()


def test_the_same_mail_is_one_mail_a_day_also_when_it_is_asked_for_at_once() -> None:
    done: Counter[str] = Counter()
    threads = [threading.Thread(target=lambda: done.update(wished(motive="question")[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == {"queued": 1, "already queued": 3, "basis: motive": 4}
    assert deliver_now() == {"sent": 1}
    assert wished(motive="question", operator="bert")[0] == {"already sent": 1, "basis: motive": 1}
    assert wished(motive="question", body="Something else")[0]["queued"] == 1
    assert wished(motive="question", day=DAY + timedelta(days=1))[0]["queued"] == 1


def test_the_permission_to_telephone_is_the_entry_in_the_log_and_each_call_needs_its_own() -> None:
    one = wished(channel=CONTACT, motive="question", call="run-1")
    assert one == ({"permitted": 1, "basis: motive": 1}, "motive: question")
    assert wished(channel=CONTACT, motive="question", call="run-1")[0]["already permitted"] == 1
    assert wished(channel=CONTACT, motive="question", call="run-2")[0]["permitted"] == 1
    assert rows("SELECT key, channel, basis, motive, operator, business_date FROM contacts ORDER BY id") == [
        ("contact/C1/run-1", "contact", "motive", "question", "anna", DAY),
        ("contact/C1/run-2", "contact", "motive", "question", "anna", DAY),
    ]
    assert rows("SELECT FROM messages") == []


def test_a_consent_to_calls_permits_them_and_a_motive_that_stood_by_is_not_logged() -> None:
    change("UPDATE consent_types SET allows_contact = true")
    consents(DAY)
    assert wished(channel=CONTACT, motive="question")[0] == {"permitted": 1, "basis: consent": 1}
    assert rows("SELECT basis, consent_id IS NOT NULL, motive FROM contacts") == [("consent", True, None)]


def test_an_objection_before_the_mail_is_sent_cancels_it_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from deployments.show import messages
    from lifecycle.rules.outbox import State

    wished(motive="question")
    objects(SINGLE)
    assert deliver_now() == {"not sent: objected": 1}
    assert rows("SELECT FROM contacts UNION ALL SELECT FROM message_bodies") == []
    messages([State.CANCELLED], 10)
    listed = capsys.readouterr().out
    assert listed.startswith("cancelled  single  single/C1/2026-03-10/")
    assert listed.endswith("tries: 1  objected\n")


def test_the_same_mail_again_after_it_was_cancelled_is_for_a_person_to_see_to() -> None:
    wished(motive="question")
    change("UPDATE messages SET state = 'cancelled'")
    again, _ = wished(motive="question")
    assert again == {"already cancelled": 1, "basis: motive": 1}
    assert again.keys() & UNSENT


@pytest.mark.parametrize("channel", [SINGLE, CONTACT])
def test_a_dry_run_says_the_same_and_writes_nothing(channel: ContactChannel) -> None:
    tried = wished(channel=channel, motive="question", dry_run=True)
    assert rows("SELECT FROM messages UNION ALL SELECT FROM contacts UNION ALL SELECT FROM message_bodies") == []
    assert wished(channel=channel, motive="question") == tried


def test_the_reseller_that_looks_after_the_customer_can_stand_in_the_mail(home: Path) -> None:
    with transaction() as db:
        [customer_id] = db.execute(text("SELECT id FROM customers")).scalars()
        cast.association(db, customer_id, cast.reseller(db, "R1"))
    wished(motive="question", body="Ask {{ reseller_name }}, {{ reseller_email }}")
    deliver_now()
    assert "Ask Reseller R1, reseller@example.com" in mail(home).get_body(("plain",)).get_content()
