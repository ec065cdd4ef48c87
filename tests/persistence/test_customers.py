"""What a person on the telephone is told about a customer."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, text

from lifecycle.persistence import customers
from tests import cast
from tests.appointments import appointment

RENEWED = datetime(2019, 8, 20, 10, tzinfo=UTC)


@pytest.fixture
def renewed_early(db: Connection) -> None:
    """A licence to 31 August 2019 that was renewed on the 20th for the year from 1 September."""
    licence = cast.subscription(db, "L1", cast.customer(db, "C1"), cast.product(db))
    cast.term(db, licence, date(2019, 8, 31), starts_on=date(2018, 9, 1))
    cast.term(db, licence, date(2020, 8, 31), starts_on=date(2019, 9, 1), known=RENEWED)


def licence_on(db: Connection, day: date) -> dict[str, Any]:
    found = customers.show(db, "C1", day, ZoneInfo("Europe/Rome"))
    assert found is not None
    [licence] = found["subscriptions"]
    return dict(licence)


@pytest.mark.parametrize(
    ("day", "expires_on", "status"),
    [
        (date(2019, 8, 19), date(2019, 8, 31), "active"),  # not renewed yet
        (date(2019, 8, 20), date(2020, 8, 31), "active"),  # sold, though it has not begun
        (date(2019, 9, 1), date(2020, 8, 31), "active"),
        (date(2020, 9, 1), date(2020, 8, 31), "expired"),
    ],
)
def test_a_renewal_makes_the_expiry_from_the_day_it_was_sold(
    db: Connection, renewed_early: None, day: date, expires_on: date, status: str
) -> None:
    licence = licence_on(db, day)
    assert (licence["expires_on"], licence["status"]) == (expires_on, status)


LEFT = datetime(2026, 2, 3, 9, tzinfo=UTC)


@pytest.fixture
def left(db: Connection) -> None:
    """M1 and the plan P1 are charged by one mandate, M2 by a card. Asked on 3 February, M1 lasts to the 10th."""
    customer = cast.customer(db, "C1")
    shared = cast.mandate(db, customer, "ACCOUNT")
    db.execute(text("UPDATE mandates SET ended_on = '2026-02-04'"))
    leaves = cast.membership(db, customer, "M1", terms=3, mandate=shared)
    for month, status in ((1, "paid"), (2, "due"), (3, "cancelled")):
        cast.instalment(db, leaves, date(2026, month, 1), status=status)
    cast.plan(db, customer, "P1", starts_on=date(2025, 12, 15), mandate=shared)
    cast.membership(db, customer, "M2", charge_method="card", mandate=cast.mandate(db, customer, "CARD", kind="card"))
    cast.action_type(db, in_agenda=True)
    cast.withdrawal(db, customer, [leaves], date(2026, 2, 10), done_at=LEFT)
    cast.crm_action(db, customer, "WITHDRAWN", date(2026, 2, 4), assigned_to="otto", note=None, known=LEFT)


def shown(db: Connection, day: date) -> dict[str, Any]:
    found = customers.show(db, "C1", day, ZoneInfo("Europe/Rome"))
    assert found is not None
    return found


def test_a_membership_that_somebody_left_is_shown_with_its_last_day_and_the_terms_that_were_cut(
    db: Connection, left: None
) -> None:
    before, after = (shown(db, date(2026, 2, day))["subscriptions"] for day in (2, 3))
    assert [(it["code"], it["withdrawn_on"]) for it in before] == [("M1", None), ("M2", None), ("P1", None)]
    assert (after[0]["withdrawn_on"], after[0]["expires_on"]) == (date(2026, 2, 10), date(2026, 2, 10))
    assert [(term["starts_on"], term["expires_on"]) for term in after[0]["terms"]] == [
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 2, 1), date(2026, 2, 10)),
        (date(2026, 3, 1), date(2026, 3, 31)),
        (date(2026, 3, 1), date(2026, 2, 10)),
    ]


def test_what_is_owed_of_a_membership_that_somebody_left_is_detached(db: Connection, left: None) -> None:
    instalments = shown(db, date(2026, 2, 3))["instalments"]
    assert [list(it.values()) for it in instalments if it["subscription"] == "M1"] == [
        ["M1", date(2026, 1, 1), Decimal("12.20"), "EUR", "paid", False],
        ["M1", date(2026, 2, 1), Decimal("12.20"), "EUR", "due", True],
        ["M1", date(2026, 3, 1), Decimal("12.20"), "EUR", "cancelled", False],
    ]
    assert {it["detached"] for it in instalments if it["subscription"] == "P1"} == {False}
    assert {it["detached"] for it in shown(db, date(2026, 2, 2))["instalments"]} == {False}


def test_instalments_are_shown_from_the_day_they_or_their_term_were_agreed(db: Connection) -> None:
    plan = cast.membership(db, cast.customer(db, "C1"), starts_on=date(2026, 3, 1), monthly=False, known=LEFT)
    for due_on, known in ((date(2026, 2, 5), RENEWED), (date(2026, 4, 1), LEFT.replace(day=9))):
        cast.instalment(db, plan, due_on, known=known)
    for due_on in (date(2026, 2, 2), date(2027, 3, 1)):
        cast.instalment(db, plan, due_on, known=LEFT.replace(day=9))
    days = [date(2026, 2, day) for day in (1, 2, 3, 9)]
    assert [[it["due_on"].isoformat()[2:7] for it in shown(db, day)["instalments"]] for day in days] == [
        ["26-02"],  # agreed long ago
        ["26-02", "26-02"],  # due
        ["26-02", "26-02", "26-04"],  # within a term that was sold
        ["26-02", "26-02", "26-04", "27-03"],  # agreed, for whenever
    ]


def test_mandates_are_shown_with_what_they_are_used_by_and_the_end_of_their_account(db: Connection, left: None) -> None:
    keys = ["code", "kind", "iban_ends_in", "signed_on", "ended_on", "shared_by"]
    signed_on = date(2018, 1, 1)
    assert shown(db, date(2026, 2, 3))["mandates"] == [
        dict(zip(keys, each, strict=True))
        for each in (
            ("ACCOUNT", "sepa", "3456", signed_on, None, ["M1", "P1"]),
            ("CARD", "card", None, signed_on, None, ["M2"]),
        )
    ]
    assert [it["ended_on"] for it in shown(db, date(2026, 2, 4))["mandates"]] == [date(2026, 2, 4), None]
    assert shown(db, date(2017, 12, 31))["mandates"] == []


def test_the_crm_history_is_shown_up_to_the_day(db: Connection, left: None) -> None:
    first, second = shown(db, date(2026, 2, 4))["crm_actions"]
    assert first == {
        "type": "WITHDRAWN",
        "title": "Type WITHDRAWN",
        "operator": "anna",
        "assigned_to": None,
        "note": "as agreed",
        "business_date": date(2026, 2, 3),
        "recorded_at": LEFT,
    }
    assert (second["assigned_to"], second["note"]) == ("otto", None)
    assert shown(db, date(2026, 2, 3))["crm_actions"] == [first]


@pytest.fixture
def asked(db: Connection) -> None:
    """C1 consented in May for 30 days and in July, said no to calls, and was called and mailed."""
    customer = cast.customer(db, "C1")
    news = cast.consent_type(db, "NEWS", valid_days=30)
    for on, until, evidence, known in (
        (date(2019, 5, 1), None, "form", RENEWED),
        (date(2019, 7, 1), None, "second form", RENEWED),
        (date(2019, 7, 1), date(2019, 7, 20), "letter", RENEWED.replace(hour=11)),
    ):
        db.execute(
            text("""
            INSERT INTO consents (
                customer_id, consent_type_id, granted_on, withdrawn_on, evidence, operator, recorded_at)
            VALUES (:customer, :news, :on, :until, :evidence, 'OP1', :known)"""),
            {"customer": customer, "news": news, "on": on, "until": until, "evidence": evidence, "known": known},
        )
    db.execute(
        text("INSERT INTO objections (customer_id, channel, objected_on) VALUES (:id, 'contact', '2019-07-02')"),
        {"id": customer},
    )
    db.execute(
        text("""
        INSERT INTO contacts (key, customer_id, channel, basis, consent_id, motive, operator, business_date)
        VALUES ('mailing/1/C1', :id, 'bulk', 'consent', (SELECT min(id) FROM consents), NULL, NULL, '2019-05-02'),
            ('contact/1', :id, 'contact', 'duty', NULL, 'contract', 'OP1', '2019-07-03')"""),
        {"id": customer},
    )


@pytest.mark.parametrize(
    ("day", "valid"),
    [
        (date(2019, 4, 30), []),
        (date(2019, 5, 30), [True]),
        (date(2019, 5, 31), [False]),  # lapsed
        (date(2019, 7, 1), [False, True]),
        (date(2019, 7, 20), [False, False]),  # withdrawn
    ],
)
def test_consents_are_shown_as_they_hold_on_the_day(db: Connection, asked: None, day: date, valid: list[bool]) -> None:
    found = customers.show(db, "C1", day, ZoneInfo("Europe/Rome"))
    assert found is not None
    assert [consent["valid"] for consent in found["consents"]] == valid


def test_what_was_allowed_refused_and_done_is_shown(db: Connection, asked: None) -> None:
    found = customers.show(db, "C1", date(2019, 7, 3), ZoneInfo("Europe/Rome"))
    assert found is not None
    assert found["consents"][-1] == {
        "type": "NEWS",
        "title": "Type NEWS",
        "granted_on": date(2019, 7, 1),
        "withdrawn_on": date(2019, 7, 20),
        "lapses_on": date(2019, 7, 31),
        "valid": True,
        "evidence": "letter",
        "operator": "OP1",
        "recorded_at": RENEWED.replace(hour=11),
    }
    assert [(each["channel"], each["objected_on"]) for each in found["objections"]] == [("contact", date(2019, 7, 2))]
    assert [tuple(each.values()) for each in found["contacts"]] == [
        ("mailing/1/C1", "bulk", "consent", "NEWS", None, None, date(2019, 5, 2)),
        ("contact/1", "contact", "duty", None, "contract", "OP1", date(2019, 7, 3)),
    ]


@pytest.mark.parametrize(
    ("day", "known"),
    [
        (date(2019, 7, 31), []),
        (date(2019, 8, 1), ["PAST"]),
        (date(2019, 8, 20), ["PAST", "AGREED"]),  # though it is yet to come
        (date(2019, 9, 10), ["PAST", "AGREED", "LATE"]),
    ],
)
def test_appointments_are_shown_from_the_day_they_were_agreed(db: Connection, day: date, known: list[str]) -> None:
    customer = cast.customer(db, "C1")
    for code, starts_at in (
        ("PAST", datetime(2019, 7, 31, 22, tzinfo=UTC)),  # the day's first moment in Rome
        ("AGREED", datetime(2019, 9, 9, 8, tzinfo=UTC)),
        ("LATE", datetime(2019, 9, 10, 8, tzinfo=UTC)),
    ):
        appointment(db, code, customer, starts_at, "booked", "Demo")
    db.execute(text("UPDATE appointments SET recorded_at = :known WHERE code = 'AGREED'"), {"known": RENEWED})
    found = customers.show(db, "C1", day, ZoneInfo("Europe/Rome"))
    assert found is not None
    assert [each["code"] for each in found["appointments"]] == known
    if known:
        assert list(found["appointments"][0]) == ["code", "starts_at", "status", "title"]
        assert found["appointments"][0]["title"] == "Demo"
