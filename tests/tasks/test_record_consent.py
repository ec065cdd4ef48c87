"""Consents, withdrawals and objections by hand: once, all that is wrong at once, nothing ever overwritten."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lifecycle.persistence.contact import at_the_gate
from lifecycle.persistence.database import transaction
from lifecycle.rules.consents import Said
from lifecycle.rules.contact import Allowed, ContactChannel, Missing, gate
from lifecycle.rules.findings import BadInput
from tasks.consents import By, record_consent, record_objection
from tests import cast

BULK = ContactChannel.BULK
MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)
NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.fixture
def business(home: Path) -> Path:
    with transaction() as db:
        cast.customer(db, "C1")
        cast.customer(db, "C2")
        cast.operator(db, "OP1")
        cast.consent_type(db, "NEWS")
        cast.consent_type(db, "CALLS", "bulk contact", valid_days=30)
    return home


def by(operator: str = "OP1", *, now: datetime = NOW) -> By:
    return By(operator, RUN, JULY, now)


RUN = UUID(int=5)


@pytest.fixture(autouse=True)
def _run(business: Path) -> None:
    with transaction() as db:
        db.execute(
            text("INSERT INTO runs (id, flow, business_date, dry_run) VALUES (:id, 'record-consent', :day, false)"),
            {"id": RUN, "day": JULY},
        )


def told(
    granted_on: date | None = None,
    withdrawn_on: date | None = None,
    evidence: str = "form",
    *,
    customer: str = "C1",
    consent_type: str = "NEWS",
    now: datetime = NOW,
    dry_run: bool = False,
) -> tuple[int, list[str]]:
    said = Said(granted_on, withdrawn_on, evidence)
    return record_consent.fn(customer, consent_type, said, by(now=now), dry_run=dry_run)


def objected(on: date, channel: ContactChannel = BULK, *, dry_run: bool = False) -> tuple[bool, list[str]]:
    return record_objection.fn("C1", channel, on, "by telephone", by(), dry_run=dry_run)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def versions(consent_type: str = "NEWS") -> list[tuple[Any, ...]]:
    return rows(f"""
        SELECT granted_on, withdrawn_on, evidence
        FROM consents JOIN consent_types ON consent_types.id = consent_type_id AND code = '{consent_type}'
        ORDER BY granted_on, consents.recorded_at, consents.id""")


def answer(day: date, customer: str = "C1") -> Allowed | Missing:
    with transaction() as db:
        asked = at_the_gate(db, customer, day)
    assert asked
    return gate(asked.customer, BULK, day, None)


def refused(*arguments: Any, **options: Any) -> list[tuple[str, str]]:
    before = versions()
    with pytest.raises(BadInput) as error:
        told(*arguments, **options)
    assert versions() == before
    return [(finding.where, finding.problem) for finding in error.value.findings]


def test_a_consent_is_recorded_with_its_evidence_operator_and_run_and_allows_from_its_day() -> None:
    assert told(MAY, evidence="form 7,\n=wording 3") == (1, [])
    assert rows("SELECT evidence, operator, run_id, recorded_at FROM consents") == [
        ("form 7,\n=wording 3", "OP1", RUN, NOW)
    ]
    assert answer(MAY - timedelta(days=1)) == Missing.NEVER
    assert isinstance(answer(MAY), Allowed)


def test_what_was_recorded_already_is_left_as_it_is() -> None:
    for _ in range(2):
        told(MAY)
        told(withdrawn_on=JUNE, evidence="letter")
    assert versions() == [(MAY, None, "form"), (MAY, JUNE, "letter")]
    assert told(MAY) == (
        0,
        ["consents of this type were withdrawn: one that is to hold again is granted on a later day"],
    )
    assert told(MAY, evidence="the form, scanned")[0] == 1
    assert versions()[-1] == (MAY, JUNE, "the form, scanned")


def test_a_past_consent_with_its_end_is_one_version() -> None:
    assert told(MAY, JUNE)[0] == 1
    assert versions() == [(MAY, JUNE, "form")]
    assert isinstance(answer(JUNE - timedelta(days=1)), Allowed)
    assert answer(JUNE) == Missing.WITHDRAWN


def test_a_withdrawal_ends_every_consent_of_the_type_that_was_granted_by_then_and_needs_no_evidence() -> None:
    april = date(2026, 4, 1)
    told(april)
    told(MAY, evidence="second form")
    told(JULY, evidence="third form")
    told(MAY, consent_type="CALLS")
    assert told(withdrawn_on=JUNE, evidence="") == (2, [])
    assert versions("CALLS") == [(MAY, None, "form")]
    assert versions() == [
        (april, None, "form"),
        (april, JUNE, "form"),
        (MAY, None, "second form"),
        (MAY, JUNE, "second form"),
        (JULY, None, "third form"),
    ]


def test_a_withdrawal_moves_only_to_an_earlier_day() -> None:
    told(MAY)
    assert told(withdrawn_on=JULY)[0] == 1
    assert told(withdrawn_on=JUNE)[0] == 1
    assert told(withdrawn_on=JULY)[0] == 0
    assert told(MAY, JULY)[0] == 0
    assert answer(JUNE) == Missing.WITHDRAWN


def test_a_withdrawal_may_take_effect_later() -> None:
    told(MAY)
    later = JULY + timedelta(days=30)
    assert told(withdrawn_on=later) == (1, [])
    assert isinstance(answer(JULY), Allowed)
    assert answer(later) == Missing.WITHDRAWN


def test_without_a_consent_there_is_nothing_to_withdraw() -> None:
    assert refused(withdrawn_on=JUNE) == [("withdrawn_on", "there is no consent of this type to withdraw")]
    told(JUNE)
    assert refused(withdrawn_on=MAY) == [("withdrawn_on", "there is no consent of this type to withdraw")]


def test_everything_that_is_wrong_is_named_at_once() -> None:
    tomorrow = JULY + timedelta(days=1)
    with pytest.raises(BadInput) as error:
        record_consent.fn("NOBODY", "NOTHING", Said(tomorrow, JUNE, ""), by("OP9"), dry_run=False)
    assert {(f.where, f.problem) for f in error.value.findings} == {
        ("customer", "'NOBODY' is no customer's code"),
        ("consent_type", "'NOTHING' is no consent type's code"),
        ("operator", "'OP9' is no operator"),
        ("evidence", "is empty"),
        ("granted_on", "2026-07-02 is in the future"),
        ("withdrawn_on", "2026-06-01 is before granted_on"),
    }
    assert refused() == [("granted_on", "is missing, and so is withdrawn_on")]
    assert refused(MAY, evidence="a\0b") == [("evidence", "has the character U+0000")]


def test_nothing_is_recorded_of_a_customer_that_was_erased() -> None:
    with transaction() as db:
        db.execute(text("UPDATE customers SET name = '', email = NULL, erased_on = '2026-06-01' WHERE code = 'C1'"))
    assert refused(MAY) == [("customer", "'C1' was erased")]
    with pytest.raises(BadInput, match="was erased"):
        objected(MAY)


@pytest.mark.parametrize(("granted_on", "lifts"), [(date(2026, 4, 30), False), (MAY, False), (date(2026, 5, 2), True)])
def test_only_a_consent_on_a_later_day_lifts_an_objection(granted_on: date, lifts: bool) -> None:
    assert objected(MAY) == (True, [])
    note = "the objection of 2026-05-01 to bulk still holds: only a consent on a later day lifts it"
    assert told(granted_on) == (1, [] if lifts else [note])
    assert isinstance(answer(JULY), Allowed) is lifts


def test_a_consent_that_lapsed_already_is_recorded_and_said() -> None:
    assert told(MAY, consent_type="CALLS") == (1, ["the consent lapsed: it held until the day before 2026-05-31"])


def test_an_objection_is_recorded_once_for_a_customer_channel_and_day() -> None:
    assert [objected(MAY)[0] for _ in range(2)] == [True, False]
    assert objected(JUNE)[0]
    assert objected(MAY, ContactChannel.CONTACT)[0]
    assert rows("SELECT evidence, operator, run_id FROM objections") == [("by telephone", "OP1", RUN)] * 3


def test_an_objection_that_a_later_consent_lifts_is_said() -> None:
    told(JUNE)
    assert objected(MAY) == (True, ["a consent on a later day lifts it: withdraw that one if it is not meant"])
    assert objected(JUNE) == (True, [])


def test_what_is_wrong_with_an_objection_is_named_at_once() -> None:
    with pytest.raises(BadInput) as error:
        record_objection.fn("NOBODY", BULK, JULY + timedelta(days=1), "", by("OP9"), dry_run=False)
    assert [f.where for f in error.value.findings] == ["customer", "objected_on", "operator"]


def test_a_dry_run_says_the_same_and_records_nothing() -> None:
    assert told(MAY, dry_run=True) == (1, [])
    assert objected(MAY, dry_run=True) == (True, [])
    assert versions() == []
    assert rows("SELECT * FROM objections") == []
    told(MAY)
    assert told(withdrawn_on=JUNE, dry_run=True) == (1, [])
    assert versions() == [(MAY, None, "form")]


def test_at_once_each_is_recorded_once_and_the_last_word_counts() -> None:
    """Whoever waited is later, though it asked for the time before."""
    moments = [NOW - timedelta(seconds=n) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert sum(count for count, _ in threads.map(lambda now: told(MAY, now=now), moments)) == 1
        assert sum(count for count, _ in threads.map(lambda now: told(withdrawn_on=JUNE, now=now), moments)) == 1
        assert sum(new for new, _ in threads.map(lambda _: objected(JUNE), moments)) == 1
    assert versions() == [(MAY, None, "form"), (MAY, JUNE, "form")]
    assert answer(JULY) == Missing.OBJECTED
    assert told(withdrawn_on=MAY, now=cast.LONG_AGO)[0] == 1
    assert answer(MAY) == Missing.WITHDRAWN


APPEND_ONLY = ("consents", "objections", "switches", "contacts")
CHANGES = ("UPDATE {} SET recorded_at = now()", "DELETE FROM {}", "TRUNCATE {} CASCADE")


def test_the_database_refuses_to_change_what_proves_something() -> None:
    told(MAY)
    objected(MAY)
    with transaction() as db:
        db.execute(
            text("INSERT INTO switches (channel, asks, operator, business_date) VALUES ('bulk', true, 'O', now())")
        )
        db.execute(
            text("""
            INSERT INTO contacts (key, customer_id, channel, basis, motive, business_date)
            SELECT 'K', id, 'single', 'duty', 'contract', now() FROM customers WHERE code = 'C1'""")
        )
    for table, change in product(APPEND_ONLY, CHANGES):
        with pytest.raises(Exception, match=f"{table} is append-only"), transaction() as db:
            db.execute(text(change.format(table)))


def test_only_what_can_name_a_person_may_be_blanked() -> None:
    told(MAY)
    objected(MAY)
    for table in ("consents", "objections"):
        with pytest.raises(Exception, match="append-only"), transaction() as db:
            db.execute(text(f"UPDATE {table} SET evidence = 'another'"))
        with transaction() as db:
            db.execute(text(f"UPDATE {table} SET evidence = NULL"))
        assert rows(f"SELECT evidence FROM {table}") == [(None,)]
