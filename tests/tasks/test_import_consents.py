"""Consents, their types, objections and motives from files: as any other, and a withdrawal is never taken back."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.consents import Said
from lifecycle.rules.findings import BadInput
from tasks.consents import By, record_consent
from tests import cast
from tests.billing import rows
from tests.importing import LATER, bring
from tests.sweeping import started

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
EARLY = datetime(2026, 5, 1, 22, tzinfo=UTC)

FILES = {
    "customers": "code,kind,name,email\nC1,person,Anna,a@example.com\nC2,person,Bice,b@example.com\n",
    "consent_types": "code,title,valid_days,allows_bulk,allows_contact\nNEWS,News,365,TRUE,\nCALLS,Calls,,,true\n",
    "consents": "customer,consent_type,granted_on,evidence\nC1,NEWS,2026-05-01,form\n",
    "motives": "code,title,duty\nrecall,Product recall,true\ncomplaint,Answer to a complaint,\n",
    "objections": "customer,channel,objected_on\nC1,contact,2026-05-03\n",
}
HEADER = "customer,consent_type,granted_on,withdrawn_on,evidence,recorded_at\n"


def refused(home: Path, **contents: str) -> list[tuple[str, int, str, str]]:
    before = consents()
    with pytest.raises(BadInput) as error:
        bring(home, contents, LATER)
    assert consents() == before
    return [(f.where, f.line, f.column, f.problem) for f in error.value.findings]


def consents() -> list[tuple[Any, ...]]:
    return rows("SELECT granted_on, withdrawn_on, evidence, recorded_at FROM consents ORDER BY recorded_at, id")


def withdraw(on: date, now: datetime, evidence: str = "") -> None:
    with transaction() as db:
        cast.operator(db, "OP1")
    by = By("OP1", started("record-consent", on), on, now)
    record_consent.fn("C1", "NEWS", Said(None, on, evidence), by, dry_run=False)


@pytest.fixture
def business(home: Path) -> Path:
    bring(home, FILES)
    return home


def test_all_are_imported_and_again_add_nothing(home: Path) -> None:
    new = {"customers new": 2, "consent_types new": 2, "motives new": 2, "consents added": 1, "objections added": 1}
    assert bring(home, FILES, dry_run=True) == new
    assert rows("SELECT code FROM consent_types") == []
    assert bring(home, FILES) == new
    before = rows("SELECT id, xmin::text, xmax::text, ctid::text FROM consents")
    again = bring(home, FILES, LATER)
    assert again == {"customers unchanged": 2, "consent_types unchanged": 2, "motives unchanged": 2}
    assert rows("SELECT id, xmin::text, xmax::text, ctid::text FROM consents") == before
    assert rows(
        "SELECT code, valid_days, allows_bulk, allows_single, allows_contact FROM consent_types ORDER BY id"
    ) == [
        ("NEWS", 365, True, False, False),
        ("CALLS", None, False, False, True),
    ]
    assert rows("SELECT code, duty FROM motives WHERE code <> 'contract' ORDER BY code") == [
        ("complaint", False),
        ("recall", True),
    ]


def test_evidence_arrives_as_it_is(business: Path) -> None:
    bring(business, {"consents": f'{HEADER}C2,NEWS,2026-05-01,,"=HYPERLINK(1)\nsecond line, ""quoted""",\n'})
    assert consents()[-1][2] == '=HYPERLINK(1)\nsecond line, "quoted"'


@pytest.mark.parametrize(
    ("then", "added"),
    [
        # Another consent.
        ("C1,NEWS,2026-05-02,,,", [(date(2026, 5, 2), None, None, LATER)]),
        # What is known.
        ("C1,NEWS,2026-05-01,,form,", []),
        ("C1,NEWS,2026-05-01,,,", []),
        # A withdrawal, a better evidence: the past stays as it was known, what is not said is as it was.
        ("C1,NEWS,2026-05-01,2026-06-01,,", [(MAY, JUNE, "form", LATER)]),
        ("C1,NEWS,2026-05-01,2026-06-01,letter,", [(MAY, JUNE, "letter", LATER)]),
        ("C1,NEWS,2026-05-01,,scan,", [(MAY, None, "scan", LATER)]),
        # Known at a moment of its own, once.
        ("C1,NEWS,2026-05-01,,form,2026-05-02", [(MAY, None, "form", EARLY)]),
        ("C1,NEWS,2026-05-01,2026-06-01,,2026-05-02", [(MAY, JUNE, None, EARLY)]),
        # The same row twice is one.
        ("C1,NEWS,2026-05-02,,,\nC1,NEWS,2026-05-02,,,", [(date(2026, 5, 2), None, None, LATER)]),
    ],
)
def test_a_consent_adds_a_version_where_it_says_something_new(
    business: Path, then: str, added: list[tuple[Any, ...]]
) -> None:
    before = consents()
    for now in (LATER, LATER + timedelta(days=1)):
        bring(business, {"consents": f"{HEADER}{then}\n"}, now)
        assert consents() == sorted(before + added, key=lambda version: version[3])


@pytest.mark.parametrize("moment", ["", "2026-05-02"])
def test_a_withdrawal_by_hand_outlives_the_next_import_of_the_grant(home: Path, moment: str) -> None:
    grant = f"{HEADER}C1,NEWS,2026-05-01,,form,{moment}\n"
    bring(home, FILES | {"consents": grant})
    withdraw(date(2026, 5, 20), LATER, "letter")
    known = consents()
    assert known[-1][:3] == (MAY, date(2026, 5, 20), "letter")
    for ended in ("", "2026-06-01", "2026-05-20"):
        rows_again = f"{HEADER}C1,NEWS,2026-05-01,{ended},form,{moment}\n"
        bring(home, {"consents": rows_again}, LATER + timedelta(days=1))
        assert consents() == known


def test_everything_that_is_wrong_is_named_at_once(business: Path) -> None:
    assert refused(
        business,
        consent_types="code,title,valid_days,allows_bulk\nA,Ads,0,yes\nA,Ads,1,true\n",
        consents=f"{HEADER}C9,NEWS,2026-05-01,,,\nC1,NONE,2026-05-01,2026-04-30,,\nC1,NEWS,2026-06-03,,,\n"
        "C2,NEWS,2026-05-01,,form,\nC2,NEWS,2026-05-01,,letter,\nC2,NEWS,2026-05-02,2026-05-03,,2026-05-04\n"
        "C2,NEWS,2026-05-02,,,2026-05-04\n",
        motives="code,title,duty\ncontract,Contract,false\n",
        objections="customer,channel,objected_on\nC9,fax,2026-05-01\nC1,bulk,2026-06-03\n",
    ) == [
        ("consent_types.csv", 2, "valid_days", "is not such a number"),
        ("consent_types.csv", 2, "allows_bulk", "is not a truth value"),
        ("consent_types.csv", 3, "code", "stands in line 2 already"),
        ("consents.csv", 2, "customer", "is not known"),
        ("consents.csv", 3, "consent_type", "is not known"),
        ("consents.csv", 3, "withdrawn_on", "is before granted_on"),
        ("consents.csv", 4, "granted_on", "is in the future"),
        ("consents.csv", 6, "withdrawn_on", "contradicts consents.csv line 5, recorded at the same time"),
        ("consents.csv", 8, "withdrawn_on", "contradicts consents.csv line 7, recorded at the same time"),
        ("motives.csv", 2, "duty", "must be true"),
        ("objections.csv", 2, "channel", "is not that"),
        ("objections.csv", 2, "customer", "is not known"),
        ("objections.csv", 3, "objected_on", "is in the future"),
    ]


def test_the_contract_may_have_another_title_and_stays_a_duty(business: Path) -> None:
    assert bring(business, {"motives": "code,title\ncontract,Vertrag\n"}) == {"motives changed": 1}
    assert rows("SELECT title, duty FROM motives WHERE code = 'contract'") == [("Vertrag", True)]
    assert refused(business, motives="code,title,duty\ncontract,Vertrag,\n") == [
        ("motives.csv", 2, "duty", "must be true")
    ]


def test_what_was_consented_to_cannot_be_redefined(business: Path) -> None:
    assert refused(
        business, consent_types="code,title,valid_days,allows_bulk,allows_single\nNEWS,News,,true,true\n"
    ) == [
        ("consent_types.csv", 2, "allows_single", "is not what was in use"),
        ("consent_types.csv", 2, "valid_days", "is not what was in use"),
    ]
    assert bring(business, {"consent_types": "code,title\nNEWS,Newsletter\n"}) == {"consent_types changed": 1}
    # To this one nobody consented yet.
    unused = "code,title,valid_days,allows_contact\nCALLS,Calls,30,true\n"
    assert bring(business, {"consent_types": unused}) == {"consent_types changed": 1}


def test_a_motive_that_a_contact_rests_on_stays_a_duty_or_none(business: Path) -> None:
    no_duty = "code,title,duty\nrecall,Recall,false\n"
    assert bring(business, {"motives": no_duty}) == {"motives changed": 1}
    with transaction() as db:
        db.execute(
            text("""
            INSERT INTO contacts (key, customer_id, channel, basis, motive, operator, business_date)
            SELECT 'contact/C1/1', id, 'contact', 'motive', 'recall', 'anna', '2026-05-30'
            FROM customers WHERE code = 'C1'""")
        )
    assert refused(business, motives=no_duty.replace("false", "true")) == [
        ("motives.csv", 2, "duty", "is not what was in use")
    ]
    assert bring(business, {"motives": "code,title\nrecall,Product recall\n"}) == {"motives changed": 1}
