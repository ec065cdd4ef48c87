"""A mailing: one test per condition of the flow, and of its delivery."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import date, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import text

from lifecycle.persistence import customers, mailing, outbox
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.mailing import Selection
from lifecycle.rules.findings import BadInput
from lifecycle.rules.outbox import Channel
from lifecycle.rules.records import start_of_day
from lifecycle.rules.segment import Segment
from lifecycle.rules.subscriptions import Policy, Status
from lifecycle.rules.unsubscribing import message_of
from lifecycle.settings import settings
from tasks import mailing as tasks
from tasks.delivery import ANOTHER, deliver, look
from tests import sweeping
from tests.billing import change, rows
from tests.erasing import erase, waits
from tests.mailing import DAY, SECRET, business, run, write
from tests.mailing import deliver as deliver_mailings
from tests.smtp import Inbox, mail_server

WILLING = {"MARIO", "ELENI", "AMELIA"}


@pytest.fixture(autouse=True)
def spring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The business, with a mailing."""
    business(home, monkeypatch)
    write(home)


def mails(home: Path) -> dict[str, EmailMessage]:
    """What was sent, by the recipient's address."""
    found = {}
    for file in (home / "mail" / "new").glob("*"):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        assert str(mail["Delivered-To"]) not in found
        found[str(mail["Delivered-To"]).partition("@")[0]] = mail
    return found


def words(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(str(body.get_content()).split())


def findings(act: Callable[[], object]) -> set[str]:
    with pytest.raises(BadInput) as refused:
        act()
    return set(map(str, refused.value.findings))


def chosen(day: date = DAY, db: Transaction | None = None, **segment: Any) -> set[str]:
    """The customers of a segment."""
    end_of_day = start_of_day(day + timedelta(days=1), settings().zone)
    selection = Selection("spring", Segment(**segment), day, end_of_day, "it", uuid4())
    with nullcontext(db) if db else transaction() as asked:
        return {looked.customer for looked in mailing.foresee(asked, selection, 0, 1 << 62)}


def test_it_goes_to_those_who_allow_it_and_the_others_are_listed_with_the_reason(home: Path) -> None:
    outcomes, lines = run()
    assert lines == [
        "MARIO,queued",
        "ELENI,queued",
        "AMELIA,queued",
        "NOBODY,no consent",
        "LAPSED,consent lapsed",
        "GONE,consent withdrawn",
        "LEAVE,objected",
        "MUTE,no address",
        "ONLYME,no consent",
    ]
    assert outcomes.counts["queued"] == 3
    assert outcomes.languages == {"it": 1, "el": 1, "en": 1}
    assert outcomes.skipped["no consent"] == ["NOBODY", "ONLYME"]
    assert "queued" not in outcomes.skipped
    assert deliver_mailings() == {"mailings: sent": 3}
    assert set(mails(home)) == {code.lower() for code in WILLING}
    assert set(rows("SELECT channel, basis, consent_id IS NOT NULL FROM contacts")) == {("bulk", "consent", True)}


def test_it_goes_to_a_customer_once_ever(home: Path) -> None:
    run()
    assert run()[0].counts["queued before"] == 3
    deliver_mailings()
    outcomes, _ = run(Segment(policy=(Policy.LICENCE,)), day=DAY + timedelta(days=1))
    assert outcomes.counts == {"sent before": 2, "no consent": 1}
    assert deliver_mailings() == {}
    assert len(mails(home)) == 3


def test_others_texts_under_the_same_name_are_refused_and_everybody_gets_those_it_was_begun_with(home: Path) -> None:
    run()
    write(home, "Something else")
    [finding] = findings(run)
    assert finding == (
        f"mailing: spring was begun with other texts on {DAY}; expected those it was begun with; "
        "give the new ones a new name"
    )
    deliver_mailings()
    assert words(mails(home)["amelia"]).startswith("Good day Smith & Sons, 10 March 2090,")
    write(home, "Something else", name="summer")
    assert run(name="summer")[0].counts["queued"] == 3


def test_a_dry_run_lists_exactly_what_the_run_then_does_and_leaves_nothing() -> None:
    outcomes, lines = run(dry_run=True)
    assert rows("SELECT FROM messages") == rows("SELECT FROM mailings") == []
    assert run() == (outcomes, lines)


def test_with_the_switch_off_it_goes_to_all_who_have_not_objected(home: Path) -> None:
    change("INSERT INTO switches (channel, asks, operator, business_date) VALUES ('bulk', false, 'OP', '2090-03-10')")
    outcomes, _ = run()
    assert outcomes.counts == {"queued": 7, "objected": 1, "no address": 1}
    assert deliver_mailings() == {"mailings: sent": 7}
    assert set(rows("SELECT DISTINCT basis FROM contacts")) == {("consent",), ("unasked",)}


def test_nobody_who_is_erased_is_mailed() -> None:
    change("UPDATE customers SET name = '', email = NULL, erased_on = '2090-03-01' WHERE code = 'MARIO'")
    assert "MARIO,erased" in run()[1]


def test_everyone_is_asked_again_at_the_moment_of_sending(home: Path) -> None:
    run()
    change("""
        INSERT INTO consents (customer_id, consent_type_id, granted_on, withdrawn_on, recorded_at)
        SELECT customer_id, consent_type_id, granted_on, date '2090-03-10', timestamptz '2090-03-11' FROM consents
        JOIN customers ON customers.id = customer_id WHERE code = 'MARIO'""")
    change("""
        INSERT INTO objections (customer_id, channel, objected_on)
        SELECT id, 'bulk', date '2090-03-10' FROM customers WHERE code = 'ELENI'""")
    assert deliver_mailings() == {
        "mailings: sent": 1,
        "mailings: not sent: consent withdrawn": 1,
        "mailings: not sent: objected": 1,
    }
    assert set(mails(home)) == {"amelia"}
    assert len(rows("SELECT FROM contacts")) == 1
    assert set(rows("SELECT key, reply FROM messages JOIN message_attempts ON message_id = messages.id"
                    " WHERE state = 'cancelled'")) == {
        ("mailing/spring/MARIO", "consent withdrawn"),
        ("mailing/spring/ELENI", "objected"),
    }  # fmt: skip


def test_a_consent_that_lapses_while_mails_wait_stops_them() -> None:
    run()
    assert deliver_mailings(date(2091, 3, 10)) == {"mailings: sent": 1, "mailings: not sent: consent lapsed": 2}


def test_what_is_wrong_is_refused_all_at_once_and_nobody_is_queued(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "mailings" / "spring" / "el.html").write_text("<p>{{ customer.email }}</p>")
    (home / "mailings" / "spring" / "en.txt").unlink()
    monkeypatch.delenv("LIFECYCLE_UNSUBSCRIBE_SECRET")
    settings.cache_clear()
    segment = Segment(reseller=("R1", "R9"), product=("LIC", "lic"), country=("IT", "XX"))
    found = findings(lambda: run(segment))
    assert {finding.partition(";")[0] for finding in found} == {
        "LIFECYCLE_UNSUBSCRIBE_SECRET: is missing",
        "segment: reseller 'R9' is not known",
        "segment: product 'lic' is not known",
        "segment: country 'XX' is not known",
        "spring/el.html, line 1: a part of a value is read",
        "spring/en.txt: is missing",
    }
    assert rows("SELECT FROM messages") == rows("SELECT FROM mailings") == []


def test_languages_that_it_lacks_are_told_and_get_the_default(home: Path) -> None:
    write(home, name="italian", locales=("it",))
    order = tasks.Order("italian", Segment(), DAY, sweeping.started("mailing-run", DAY), dry_run=True)
    assert tasks.begin.fn(order) == ["el", "en"]
    run(name="italian")
    deliver_mailings()
    assert {mail["Subject"] for mail in mails(home).values()} == {"News in it"}


SEGMENTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"language": ("it",)}, {"MARIO", "NOBODY", "LAPSED", "GONE", "LEAVE", "MUTE", "ONLYME"}),  # or the default
    ({"language": ("el", "en")}, {"ELENI", "AMELIA"}),
    ({"country": ("GR", "GB")}, {"ELENI", "AMELIA"}),
    ({"reseller": ("R1",)}, {"MARIO"}),  # Eleni was dissociated yesterday
    ({"reseller": ("R1", "R2")}, {"MARIO"}),  # Amelia comes tomorrow
    ({"product": ("LIC",)}, {"MARIO", "ELENI", "NOBODY"}),
    ({"policy": ("service",)}, {"MARIO"}),
    ({"status": ("expired",)}, {"MARIO", "ELENI", "NOBODY"}),
    ({"policy": ("licence",), "status": ("expired",)}, {"ELENI", "NOBODY"}),  # Mario's licence ends today
    ({"policy": ("licence",), "status": ("active",)}, {"MARIO"}),
    ({"policy": ("licence",), "status": ("expired",), "country": ("IT",)}, {"NOBODY"}),
    ({"product": ("HOST",), "policy": ("licence",)}, set()),
]


def test_a_segment_is_all_that_is_given_on_the_business_date() -> None:
    assert [(segment, chosen(**segment)) for segment, _ in SEGMENTS] == SEGMENTS


def test_a_reseller_looks_after_its_customers_as_of_the_business_date() -> None:
    assert chosen(DAY - timedelta(days=1), reseller=("R1",)) == {"MARIO", "ELENI"}
    assert chosen(DAY + timedelta(days=1), reseller=("R2",)) == {"AMELIA"}


_MOVED = """
INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date)
SELECT subscription_id, min(terms.id), :to, :rule, :day FROM terms
JOIN subscriptions ON subscriptions.id = subscription_id WHERE code = 'M-LIC' GROUP BY subscription_id"""
_SOLD = """
INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
SELECT id, :starts_on, greatest(:starts_on, :expires_on), cast(:known AS date)
FROM subscriptions WHERE code = 'M-LIC'"""


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_status_is_that_which_a_person_sees(data: st.DataObject) -> None:
    """Whatever transitions and terms there are: that of `lifecycle show customer`."""
    days = st.integers(-3, 3).map(lambda n: DAY + timedelta(days=n))
    with transaction() as db:
        for nth, to in enumerate(data.draw(st.lists(st.sampled_from(["disabled", "active"]), max_size=3))):
            db.execute(text(_MOVED), {"to": to, "rule": str(nth), "day": data.draw(days)})
        for _ in range(data.draw(st.integers(0, 1))):
            sold = {name: data.draw(days) for name in ("starts_on", "expires_on", "known")}
            db.execute(text(_SOLD), sold)
        day = data.draw(days)
        shown = customers.show(db, "MARIO", day, settings().zone)
        found = {status for status in Status if "MARIO" in chosen(day, db, product=("LIC",), status=(status,))}
        db.rollback()
    assert shown
    assert found == {held["status"] for held in shown["subscriptions"] if held["code"] == "M-LIC"}


def test_names_languages_and_resellers_are_those_of_the_moment_of_sending(home: Path) -> None:
    run()
    change("UPDATE customers SET name = 'Amelia Smith', locale = 'it' WHERE code = 'AMELIA'")
    deliver_mailings(DAY + timedelta(days=1))
    assert "Amelia Smith, 11 marzo 2090, Reseller Two" in words(mails(home)["amelia"])
    assert "Reseller One" in words(mails(home)["mario"])
    assert "Reseller" not in words(mails(home)["eleni"])


def test_every_mail_names_a_way_to_stop_them_that_is_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_URL", "https://example.com/stop")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_ADDRESS", "stop@example.com")
    settings.cache_clear()
    run()
    deliver_mailings()
    for to, mail in mails(home).items():
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        mailto, link = re.findall(r"<([^>]+)>", str(mail["List-Unsubscribe"]))
        assert mailto.startswith("mailto:stop@example.com?subject=unsubscribe%20")
        token = link.removeprefix("https://example.com/stop?token=")
        assert mailto.endswith(token)
        ((message,),) = rows(f"SELECT id FROM messages WHERE recipient LIKE '{to}@%'")
        assert message_of(token, SECRET) == message


def test_without_the_secret_no_mailing_is_sent_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.delenv("LIFECYCLE_UNSUBSCRIBE_SECRET")
    settings.cache_clear()
    [finding] = findings(deliver_mailings)
    assert finding.startswith("LIFECYCLE_UNSUBSCRIBE_SECRET: is missing")
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", SECRET)
    settings.cache_clear()
    assert deliver_mailings() == {"mailings: sent": 3}


def test_other_runs_leave_mailings_to_their_own_deliverer(home: Path) -> None:
    run()
    assert deliver.fn(0, sweeping.at(DAY)) == {}
    with outbox.delivering("UTC", Channel.BULK) as one:
        assert one.alone()
        assert deliver_mailings() == {ANOTHER: 1}
    assert deliver_mailings() == {"mailings: sent": 3}


def test_they_leave_evenly_spaced_and_only_for_so_long(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "60")  # a second apart
    settings.cache_clear()
    run()
    assert deliver_mailings(seconds=0.3) == {}
    assert deliver_mailings(seconds=2.5) == {"mailings: sent": 2}
    assert look.fn() == {"queued": 1}
    [(apart,)] = rows("SELECT max(started_at) - min(started_at) FROM message_attempts")
    assert apart >= timedelta(seconds=0.99)
    assert deliver_mailings(seconds=60) == {"mailings: sent": 1}


def test_who_is_not_sent_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "60")
    settings.cache_clear()
    change("UPDATE customers SET name = '', email = NULL, erased_on = '2090-03-10'")
    assert deliver_mailings(seconds=1.5) == {"mailings: not sent: erased": 3}


def test_a_server_that_cannot_be_reached_stops_it_and_one_that_refuses_does_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setenv("LIFECYCLE_MAIL_URL", "smtp://127.0.0.1:9?tls=none")
    settings.cache_clear()
    assert deliver_mailings() == {"mailings: mail server unreachable": 1}
    assert look.fn() == {"queued": 3}
    with mail_server(Inbox({"RCPT": "550 5.1.1 unknown"})) as port:
        monkeypatch.setenv("LIFECYCLE_MAIL_URL", f"smtp://127.0.0.1:{port}?tls=none")
        settings.cache_clear()
        assert deliver_mailings() == {"mailings: failed for good": 3}


def test_a_mailing_that_meets_an_erasure_waits_for_it_and_then_knows(home: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            erase(db, "MARIO")
            mailing_run = pool.submit(run)
            assert waits(mailing_run)
        _, lines = mailing_run.result(30)
    assert "MARIO,erased" in lines
    assert rows("SELECT recipient_name FROM messages ORDER BY 1") == [("Smith & Sons",), ("Ελένη Βλάχου",)]
