"""Charge runs on the database: each instalment in one file, once, whatever happens beside them or to them."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import Connection, text

from deployments import show
from lifecycle.persistence import charge_run as persistence
from lifecycle.persistence.database import transaction
from lifecycle.rendering.direct_debit import InvalidDocument
from lifecycle.rules import charge_run as rules
from lifecycle.rules.charge_run import TRANSFER, Reason
from lifecycle.rules.documents import Document
from lifecycle.rules.findings import BadInput
from lifecycle.rules.instalments import Settlement
from lifecycle.settings import settings
from tasks import charge_run
from tasks.charge_run import Order
from tasks.documents import place, there_are
from tasks.erasure_stores import clear_documents
from tasks.settle_instalment import Told, settle
from tests import cast
from tests.billing import change, rows
from tests.charging import DAY, SETTINGS, run
from tests.erasing import erase
from tests.sweeping import dying_after, mortal, started

FIRST = date(2026, 3, 1)
EACH = Decimal("12.20")


@pytest.fixture(autouse=True)
def creditor(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def member(db: Connection, code: str, kind: str = "sepa", *due_on: date, currency: str = "EUR") -> int:
    """A customer with a membership of the same code, charged by a mandate or card of its own, and instalments."""
    customer = cast.customer(db, code)
    mandate = cast.mandate(db, customer, f"MND-{code}", kind=kind) if kind != "transfer" else None
    held = cast.membership(db, customer, code, charge_method=kind, mandate=mandate)
    for day in due_on or (FIRST,):
        cast.instalment(db, held, day, currency=currency)
    return held


def members(*codes: str, kind: str = "sepa") -> None:
    with transaction() as db:
        for code in codes:
            member(db, code, kind)


def statuses() -> dict[str, str]:
    """By membership and day, how each instalment stands."""
    found = rows("""
        SELECT code || ' ' || due_on, instalments.status FROM instalments
        JOIN subscriptions ON subscriptions.id = subscription_id ORDER BY 1""")
    return dict(found)


def in_files() -> Counter[str]:
    """How often each instalment is in a file, by the end-to-end ids in the files that are stored."""
    ids: Counter[str] = Counter()
    for kind, document in rows("SELECT kind, document FROM collections ORDER BY id"):
        if kind == "sepa":
            ids.update(element.text or "" for element in etree.fromstring(document).iter("{*}EndToEndId"))
        else:
            ids.update(row["instalment"] for row in csv.DictReader(document.decode().splitlines()))
    return ids


def test_what_is_due_becomes_a_file_for_each_kind_and_currency() -> None:
    with transaction() as db:
        member(db, "S1", "sepa", date(2026, 2, 1), FIRST, DAY, DAY + timedelta(days=1))
        member(db, "S2", "sepa")
        member(db, "C1", "card")
        member(db, "C2", "card", currency="CHF")
        member(db, "T1", "transfer")
    ran = run()
    assert [(file.kind, file.currency, file.number, file.total) for file in ran.files] == [
        ("card", "CHF", 1, EACH), ("card", "EUR", 1, EACH), ("sepa", "EUR", 4, 4 * EACH)
    ]  # fmt: skip
    assert ran.counts == {TRANSFER: 1}
    assert ran.left_out == {}
    assert Counter(statuses().values()) == {"submitted": 6, "due": 2}
    assert statuses()["S1 2026-03-03"] == "due"
    assert set(in_files().values()) == {1}


def test_the_file_is_stored_and_put_among_the_documents_for_its_owner_alone() -> None:
    members("S1")
    (file,) = run().files
    ((document, digest, number, total, collect_on),) = rows(
        "SELECT document, digest, number, total, collect_on FROM collections"
    )
    path = place(Document.COLLECTION, f"{file.message_id}.xml")
    assert path.read_bytes() == document
    assert path.stat().st_mode & 0o777 == 0o600
    assert digest == hashlib.sha256(document).hexdigest()
    assert (number, total, collect_on) == (1, EACH, date(2026, 3, 4))
    assert rows("SELECT message_id FROM collections JOIN instalments ON collection_id = collections.id") == [
        (file.message_id,)
    ]


def test_again_there_is_nothing_to_charge() -> None:
    members("S1", "S2")
    assert len(run().files) == 1
    assert run().files == []
    assert in_files() == Counter({"I1": 1, "I2": 1})


def test_what_cannot_be_charged_is_left_out_and_listed_with_the_reason() -> None:
    members("FINE", "NONE", "OTHER", "ENDED", "UNSIGNED", "ERASED", "SWISS")
    members("CARD", kind="card")
    change("UPDATE subscriptions SET mandate_id = NULL WHERE code = 'NONE'")
    change("UPDATE mandates SET kind = 'card' WHERE code = 'MND-OTHER'")
    change("UPDATE mandates SET ended_on = '2026-03-02' WHERE code = 'MND-ENDED'")
    change("UPDATE mandates SET signed_on = NULL WHERE code = 'MND-UNSIGNED'")
    change("UPDATE mandates SET token = NULL WHERE code = 'MND-CARD'")
    change("UPDATE instalments SET currency = 'CHF' FROM subscriptions WHERE subscription_id = subscriptions.id "
           "AND code = 'SWISS'")  # fmt: skip
    with transaction() as db:
        erase(db, "ERASED")
    expected = {
        Reason.NO_MANDATE: ["NONE"], Reason.OTHER_KIND: ["OTHER"], Reason.ENDED: ["ENDED"],
        Reason.NOT_SIGNED: ["UNSIGNED"], Reason.NO_ACCOUNT: ["CARD", "ERASED"], Reason.NO_EURO: ["SWISS"],
    }  # fmt: skip
    for dry_run in (True, False):
        ran = run(dry_run=dry_run)
        assert {reason: sorted(codes) for reason, codes in ran.left_out.items()} == expected
        assert [file.number for file in ran.files] == [1]
    assert {code.split()[0] for code, status in statuses().items() if status == "submitted"} == {"FINE"}


def test_one_that_the_banks_schema_refuses_stops_no_other_of_its_file() -> None:
    members("FINE", "BAD", "ALSO", "WORSE")
    change("UPDATE mandates SET bic = 'PERHAPS' WHERE code = 'MND-BAD'")
    change("UPDATE mandates SET iban = 'none' WHERE code = 'MND-WORSE'")
    for dry_run in (True, False):
        ran = run(dry_run=dry_run)
        assert ran.left_out == {Reason.REFUSED: ["BAD", "WORSE"]}
        assert [(file.number, file.total) for file in ran.files] == [(2, 2 * EACH)]
    assert {code.split()[0] for code, status in statuses().items() if status == "due"} == {"BAD", "WORSE"}
    assert in_files() == Counter(["I1", "I3"])
    again = run(DAY + timedelta(days=1))
    assert (again.files, again.left_out) == ([], {Reason.REFUSED: ["BAD", "WORSE"]})


def test_a_creditor_that_the_banks_schema_refuses_is_an_error(creditor: pytest.MonkeyPatch) -> None:
    members("FINE")
    creditor.setenv("LIFECYCLE_ISSUER__NAME", "★")  # none of SEPA's characters
    settings.cache_clear()
    with pytest.raises(InvalidDocument, match=r"^Nm, "):
        run()
    assert set(statuses().values()) == {"due"}


def test_nothing_is_charged_of_a_membership_that_was_withdrawn_from() -> None:
    with transaction() as db:
        held = member(db, "S1", "sepa", FIRST, DAY)
        cast.action_type(db)
        cast.withdrawal(db, 1, [held], DAY + timedelta(days=30))
    ran = run()
    assert (ran.files, ran.counts) == ([], {f"left: {Reason.WITHDRAWN}": 2})
    assert set(statuses().values()) == {"due"}


@pytest.mark.parametrize("stream", ["dry run", "not live"])
def test_a_dry_run_and_a_stream_that_is_not_live_show_the_same_and_leave_nothing(
    stream: str, creditor: pytest.MonkeyPatch
) -> None:
    members("S1", "S2")
    members("C1", kind="card")
    if stream == "not live":
        creditor.setenv("LIFECYCLE_GO_LIVE__MEMBERSHIP", "2026-03-03")
        settings.cache_clear()
    ran = run(dry_run=stream == "dry run")
    assert sorted((file.kind, file.number, file.total, file.collect_on) for file in ran.files) == [
        ("card", 1, EACH, DAY), ("sepa", 2, 2 * EACH, date(2026, 3, 4))
    ]  # fmt: skip
    assert rows("SELECT FROM collections") == []
    assert set(statuses().values()) == {"due"}
    assert list(there_are(Document.COLLECTION)) == []
    creditor.delenv("LIFECYCLE_GO_LIVE__MEMBERSHIP", raising=False)
    settings.cache_clear()
    assert sum(file.number for file in run().files) == 3


def test_without_the_settings_of_a_creditor_nothing_is_charged_where_there_is_something_to_collect(
    creditor: pytest.MonkeyPatch,
) -> None:
    members("C1", kind="card")
    for name in SETTINGS:
        creditor.delenv(name)
    creditor.setenv("LIFECYCLE_POLICY__DEBIT_SCHEMA", "pain.008.001.02")
    settings.cache_clear()
    assert len(run().files) == 1, "cards need none of them"
    members("S1")
    with pytest.raises(BadInput) as error:
        run()
    assert [finding.where for finding in error.value.findings] == [
        f"LIFECYCLE_ISSUER__{name}" for name in ("BIC", "CREDITOR_ID", "IBAN", "NAME")
    ]
    assert statuses()["S1 2026-03-01"] == "due"


def test_a_run_that_comes_late_asks_for_no_money_of_the_past() -> None:
    members("S1")
    (file,) = run(now=datetime(2026, 4, 1, 23, tzinfo=UTC)).files  # 1:00 on Thursday in Rome, Easter ahead
    assert file.collect_on == date(2026, 4, 8)


def test_more_than_a_file_holds_become_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 2)
    members("S1", "S2", "S3", "S4", "S5")
    ran = run()
    assert [file.number for file in ran.files] == [2, 2, 1]
    assert in_files() == Counter(f"I{number}" for number in range(1, 6))
    assert len({file.message_id for file in ran.files}) == len(ran.put) == 3


def test_killed_anywhere_and_run_again_it_is_as_if_it_had_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 2)
    members("S1", "S2", "S3")
    members("C1", kind="card")
    ended = False
    with mortal():
        for statements in range(60):
            with dying_after(statements):
                run()
                ended = True
            if ended:
                break
    assert ended
    run(DAY + timedelta(days=1))  # nothing is due any more: what is missing among the documents is put there
    assert in_files() == Counter(["I1", "I2", "I3", "I4"])
    assert set(statuses().values()) == {"submitted"}
    stored = {f"{message_id}.{'xml' if kind == 'sepa' else 'csv'}": document
              for message_id, kind, document in rows("SELECT message_id, kind, document FROM collections")}  # fmt: skip
    assert {path.name: path.read_bytes() for path in there_are(Document.COLLECTION)} == stored


def test_what_somebody_took_from_the_documents_is_not_put_there_again() -> None:
    members("S1")
    (path,) = run().put
    path.unlink()
    assert run().put == []
    assert not path.exists()


def test_two_runs_at_once_act_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 4)
    members(*(f"S{number}" for number in range(20)))
    with ThreadPoolExecutor(2) as threads:
        ran = list(threads.map(lambda _: run(), range(2)))
    assert sum(file.number for each in ran for file in each.files) == 20
    assert in_files() == Counter(f"I{number}" for number in range(1, 21))
    assert len(list(there_are(Document.COLLECTION))) == len(rows("SELECT FROM collections"))


_WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def await_waiting(db: Connection) -> None:
    """Return when another transaction waits for a lock."""
    for _ in range(1_000):
        if db.execute(_WAITS).scalar():
            return
        db.execute(text("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()"))
    raise AssertionError("nobody waits")


def test_a_run_that_waits_for_a_withdrawal_charges_nothing_of_it() -> None:
    """Also not what remains due: it is locked as well."""
    with transaction() as db:
        held = member(db, "S1", "sepa", FIRST, DAY)
        cast.action_type(db)
    members("S2")
    with ThreadPoolExecutor(1) as threads:
        with transaction() as withdrawing:
            withdrawing.execute(text("SELECT FROM instalments WHERE subscription_id = :id FOR UPDATE"), {"id": held})
            running = threads.submit(run)
            await_waiting(withdrawing)
            cast.withdrawal(withdrawing, 1, [held], FIRST)
            withdrawing.execute(text("UPDATE instalments SET status = 'cancelled' WHERE due_on > '2026-03-01'"))
        ran = running.result()
    assert ran.left_out == {Reason.WITHDRAWN: ["S1"]}
    assert statuses() == {"S1 2026-03-01": "due", "S1 2026-03-02": "cancelled", "S2 2026-03-01": "submitted"}


def test_a_withdrawal_that_waits_for_a_run_finds_it_submitted() -> None:
    with transaction() as db:
        held = member(db, "S1", "sepa")
    asked = text("SELECT status FROM instalments WHERE subscription_id = :id FOR UPDATE")

    def withdraw() -> str:
        with transaction() as db:
            return str(db.execute(asked, {"id": held}).scalar())

    with ThreadPoolExecutor(1) as threads:
        with transaction() as charging:
            debits = tuple(rules.debits(persistence.locked(charging, [1], DAY), DAY))
            withdrawing = threads.submit(withdraw)
            await_waiting(charging)
            order = Order(DAY, datetime.now(UTC), started("charge-run", DAY), dry_run=False)
            collection = charge_run._collection(debits, order)
            persistence.store(charging, collection, b"", DAY, order.run_id, order.now)
        assert withdrawing.result() == "submitted"


def told(outcome: Settlement, operator: str = "anna", subscription: str = "S1", *, dry_run: bool = False) -> str:
    day = FIRST + timedelta(days=20)
    run_id = started("settle-instalment", day)
    return settle.fn(Told(subscription, FIRST, outcome, operator), day, datetime.now(UTC), run_id, dry_run=dry_run)


def test_what_comes_back_is_charged_again_under_another_id() -> None:
    members("S1")
    with transaction() as db:
        cast.operator(db, "anna")
    run()
    assert told(Settlement.RETURNED, dry_run=True) == "returned: now due"
    assert statuses() == {"S1 2026-03-01": "submitted"}
    assert [told(Settlement.RETURNED) for _ in range(2)] == ["returned: now due", "settled before"]
    run(DAY + timedelta(days=20))
    assert in_files() == Counter(["I1", "I1-2"])
    assert [told(Settlement.PAID) for _ in range(2)] == ["paid: now paid", "settled before"]
    assert rows("SELECT outcome, operator, collection_id FROM settlements ORDER BY id") == [
        ("returned", "anna", 1), ("paid", "anna", 2)
    ]  # fmt: skip


def test_what_is_wrong_with_a_settlement_is_said_at_once_and_nothing_recorded() -> None:
    members("S1")
    with transaction() as db:
        cast.operator(db, "anna")
    for outcome, operator, subscription, expected in (
        (Settlement.RETURNED, "bert", "S1", ["operator: 'bert' is no operator",
            "outcome: the instalment of S1 that was due on 2026-03-01 is due"]),
        (Settlement.PAID, "bert", "S9", ["operator: 'bert' is no operator",
            "subscription: 'S9' is no subscription's code"]),
    ):  # fmt: skip
        with pytest.raises(BadInput) as error:
            told(outcome, operator, subscription)
        assert [str(finding).split("; expected")[0] for finding in error.value.findings] == expected
    change("UPDATE instalments SET due_on = '2026-03-02'")
    with pytest.raises(BadInput, match="no instalment of S1 is due on 2026-03-01"):
        told(Settlement.PAID)
    assert rows("SELECT FROM settlements") == []


def test_with_somebody_who_is_erased_go_all_files_in_which_they_were_and_no_others() -> None:
    members("S1", "S2")
    with transaction() as db:
        cast.operator(db, "anna")
    first, returned = run().put[0], told(Settlement.RETURNED)
    assert returned == "returned: now due"
    (second,) = run(DAY + timedelta(days=20)).put
    members("S3")
    (third,) = run(DAY + timedelta(days=21)).put
    change("UPDATE instalments SET status = 'paid'")
    with transaction() as db:
        erase(db, "S1")
    assert rows("SELECT document IS NULL, digest IS NULL FROM collections ORDER BY id") == [
        (True, True), (True, True), (False, False)
    ]  # fmt: skip
    draft = third.with_name("tmp12345678")
    draft.touch()
    assert clear_documents() == {"documents removed": 2, "drafts of documents removed": 1}
    assert [path.exists() for path in (first, second, third, draft)] == [False, False, True, False]


def test_files_are_listed_and_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    members("S1", "S2")
    with transaction() as db:
        cast.operator(db, "anna")
    (file,) = run().files
    told(Settlement.PAID)
    show.collections()
    line = f"{file.message_id} sepa      2 instalments          24.40 EUR  to be collected on 2026-03-04"
    assert capsys.readouterr().out == f"2026-03-02  {line}\n"
    show.collection(file.message_id, None)
    assert capsys.readouterr().out.splitlines() == [
        line, "    I1  S1  due 2026-03-01       12.20  paid", "    I2  S2  due 2026-03-01       12.20  submitted"
    ]  # fmt: skip
    show.collection(file.message_id, tmp_path / "file.xml")
    assert (tmp_path / "file.xml").read_bytes() == rows("SELECT document FROM collections")[0][0]
    change("UPDATE instalments SET status = 'paid'")
    with transaction() as db:
        erase(db, "S2")
    show.collections()
    assert capsys.readouterr().out.endswith("removed: somebody in it is erased\n")
    with pytest.raises(BadInput, match="somebody in it is erased"):
        show.collection(file.message_id, tmp_path / "file.xml")
    with pytest.raises(BadInput, match="'X' is no file's"):
        show.collection("X", None)
