"""How consents stood on a day: the statements over all customers against the rule for one."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from lifecycle.persistence.consent_report import read
from lifecycle.rules.consent_report import LAPSING_DAYS, ConsentReport
from lifecycle.rules.contact import Allowed, Basis, Consent, ConsentType, ContactChannel, Customer, Missing, gate
from tests import cast, consents
from tests.consents import BULK, CONTACT, DAY, SINGLE, TYPES, UNTIL, Person, after, people


class Standing(StrEnum):
    """How a consent stands on a day. One that was withdrawn after it had lapsed is withdrawn: that is the last word."""

    VALID = "valid"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"


def standing(customer: Customer, of: ConsentType, day: date) -> Standing | None:
    """How the customer's consent of this type stands on `day`; None: it had not given it by then."""
    given = _given(customer, of, day)
    if not given:
        return None
    last = max(given, key=lambda consent: consent.granted_on)
    if customer.holds(last, day):
        return Standing.VALID
    return Standing.WITHDRAWN if customer.is_withdrawn(last, day) else Standing.LAPSED


def is_lapsing(customer: Customer, of: ConsentType, day: date) -> bool:
    """Whether it is valid on `day` and not any more `LAPSING_DAYS` later, by what was granted until `day`."""
    given = _given(customer, of, day)
    later = day + timedelta(days=LAPSING_DAYS)
    by_then = replace(customer, consents=given)
    return standing(customer, of, day) is Standing.VALID and not any(by_then.holds(each, later) for each in given)


def _given(customer: Customer, of: ConsentType, day: date) -> tuple[Consent, ...]:
    return tuple(consent for consent in customer.consents if consent.type == of and consent.granted_on <= day)


def report(db: Connection, day: date = DAY, until: datetime = UNTIL) -> ConsentReport:
    return read(db, day, until)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(everybody=st.lists(people, max_size=8))
def test_the_statements_agree_with_the_rule_and_the_gate(db: Connection, everybody: list[Person]) -> None:
    with db.begin_nested() as savepoint:
        types = consents.types(db)
        known = {f"C{n}": consents.recorded(db, f"C{n}", person, types) for n, person in enumerate(everybody)}
        found = report(db)
        savepoint.rollback()
    customers = {code: customer for code, customer in known.items() if not customer.erased}
    assert [(it.code, it.valid, it.lapsed, it.withdrawn) for it in found.types] == [
        (each.code, *(sum(standing(it, each, DAY) is how for it in customers.values()) for how in Standing))
        for each in TYPES
    ]
    assert {(it.customer, it.consent_type): it.last_day for it in found.lapsing} == {
        (code, each.code): last_day(customer, each)
        for code, customer in customers.items()
        for each in TYPES
        if is_lapsing(customer, each, DAY)
    }
    assert {it.code: it.lapsing for it in found.types} == {
        each.code: sum(it.consent_type == each.code for it in found.lapsing) for each in TYPES
    }
    answers = {channel: [gate(it, channel, DAY, None) for it in customers.values()] for channel in ContactChannel}
    assert [(it.channel, it.consenting, it.objecting, it.objected) for it in found.channels] == [
        (
            channel,
            sum(isinstance(answer, Allowed) and answer.basis is Basis.CONSENT for answer in said),
            sum(answer is Missing.OBJECTED for answer in said),
            sum(channel in it.objections for it in customers.values()),
        )
        for channel, said in answers.items()
    ]


def last_day(customer: Customer, of: ConsentType) -> date:
    """By trying every day."""
    given_ = [each for each in customer.consents if each.type == of and each.granted_on <= DAY]
    until_then = Customer(tuple(given_))
    return max(day for day in map(after, range(LAPSING_DAYS)) if any(until_then.holds(each, day) for each in given_))


@pytest.mark.parametrize(
    ("days", "standing", "last"),
    [
        (31, "valid", None),  # its last day is the 30th after this one
        (30, "lapsing", after(29)),  # 30 days from now it is not valid any more
        (1, "lapsing", DAY),  # this is its last day
        (0, "lapsed", None),  # the day after
    ],
)
def test_what_lapses_within_thirty_days_is_listed_with_its_last_day(
    db: Connection, days: int, standing: str, last: date | None
) -> None:
    year = consents.consent_type(db, "year", 365)
    consents.consent(db, cast.customer(db, "C1"), year, after(days - 365))
    found = report(db)
    [total] = found.types
    assert (total.valid, total.lapsing, total.lapsed) == {
        "valid": (1, 0, 0),
        "lapsing": (1, 1, 0),
        "lapsed": (0, 0, 1),
    }[standing]
    assert [it.last_day for it in found.lapsing] == ([last] if last else [])


def test_three_grants_of_one_type_are_one_and_the_last_speaks(db: Connection) -> None:
    year = consents.consent_type(db, "year", 365)
    customer = cast.customer(db, "C1")
    consents.consent(db, customer, year, date(2023, 1, 1), date(2023, 5, 1))
    consents.consent(db, customer, year, date(2024, 1, 1))
    assert [(it.valid, it.lapsed, it.withdrawn) for it in report(db).types] == [(0, 1, 0)]
    consents.consent(db, customer, year, date(2026, 1, 1))
    [total] = report(db).types
    assert (total.given, total.valid, total.lapsed, total.withdrawn) == (1, 1, 0, 0)


def test_what_was_recorded_after_the_end_of_the_day_does_not_count(db: Connection) -> None:
    year = consents.consent_type(db, "year", 365)
    customer = cast.customer(db, "C1")
    consents.consent(db, customer, year, date(2026, 1, 1))
    before = report(db)
    consents.consent(db, customer, year, date(2026, 1, 1), date(2026, 3, 1), known=UNTIL)
    consents.objection(db, customer, BULK, date(2026, 2, 1), known=UNTIL)
    consents.switch(db, BULK, "otto", date(2026, 2, 1), asks=False, known=UNTIL)
    consents.contact(db, customer, DAY, known=UNTIL)
    consents.consent_type(db, "new", None, known=UNTIL)
    assert report(db) == before
    later = report(db, DAY, UNTIL + timedelta(seconds=1))
    assert [(it.code, it.valid, it.withdrawn) for it in later.types] == [("new", 0, 0), ("year", 0, 1)]
    assert later.channels[0].objecting == 1
    assert [it.contacts for it in later.bases] == [1]


def test_of_a_day_to_come_it_says_what_is_known_now(db: Connection) -> None:
    year = consents.consent_type(db, "year", 365)
    consents.consent(db, cast.customer(db, "C1"), year, DAY)
    assert [it.lapsed for it in report(db, after(365), UNTIL + timedelta(days=365)).types] == [1]


def test_whoever_was_erased_by_the_day_is_left_out(db: Connection) -> None:
    year = consents.consent_type(db, "year", 365)
    customer = cast.customer(db, "C1")
    consents.consent(db, customer, year, after(-10))
    consents.objection(db, customer, CONTACT, after(-10))
    consents.erase(db, customer, DAY)
    assert [(it.given, report(db, after(-1)).types[0].given) for it in report(db).types] == [(0, 1)]
    assert [it.objected for it in report(db).channels] == [0, 0, 0]


@pytest.mark.parametrize(("days", "consenting", "objecting"), [(-1, 0, 1), (0, 0, 1), (1, 1, 0)])
def test_an_objection_holds_until_a_consent_on_a_later_day(
    db: Connection, days: int, consenting: int, objecting: int
) -> None:
    customer = cast.customer(db, "C1")
    consents.objection(db, customer, BULK, after(-10))
    consents.consent(db, customer, consents.consent_type(db, "year", 365), after(days - 10))
    [bulk, *_] = report(db).channels
    assert (bulk.consenting, bulk.objected, bulk.objecting) == (consenting, 1, objecting)


def test_a_switch_is_shown_with_who_set_it_last_and_from_when_on(db: Connection) -> None:
    consents.switch(db, BULK, "anna", after(-9), asks=False)
    consents.switch(db, BULK, "otto", after(-9), asks=True)
    consents.switch(db, SINGLE, "otto", DAY, asks=False)
    consents.switch(db, CONTACT, "otto", after(1), asks=False)
    assert [(it.channel, it.asks, it.operator, it.since) for it in report(db).channels] == [
        (BULK, True, "otto", after(-9)),
        (SINGLE, False, "otto", DAY),
        (CONTACT, True, None, None),
    ]


def test_motives_count_by_operator_and_month_and_contacts_by_basis_of_twelve_months(db: Connection) -> None:
    customer = cast.customer(db, "C1")
    agreed = consents.consent(db, customer, consents.consent_type(db, "year", None), date(2020, 1, 1))
    consents.motive(db, "question")
    consents.motive(db, "recall", duty=True)
    for on in (date(2025, 6, 30), date(2025, 7, 1), DAY, after(1)):
        consents.contact(db, customer, on, motive="question", operator="anna")
    consents.contact(db, customer, DAY, motive="question", operator="anna", channel="contact")
    consents.contact(db, customer, DAY, motive="recall", duty=True, operator="otto")
    consents.contact(db, customer, DAY, motive="contract", duty=True)  # a rule's own, nobody chose it
    consents.contact(db, customer, DAY, consent=agreed, channel="bulk")
    consents.contact(db, customer, DAY)
    found = report(db)
    assert [(it.month, it.operator, it.motive, it.channel, it.contacts) for it in found.motives] == [
        (date(2025, 7, 1), "anna", "question", SINGLE, 1),
        (date(2026, 6, 1), "anna", "question", CONTACT, 1),
        (date(2026, 6, 1), "anna", "question", SINGLE, 1),
        (date(2026, 6, 1), "otto", "recall", SINGLE, 1),
    ]
    assert [(it.month, it.channel, it.basis, it.contacts) for it in found.bases] == [
        (date(2025, 7, 1), SINGLE, Basis.MOTIVE, 1),
        (date(2026, 6, 1), BULK, Basis.CONSENT, 1),
        (date(2026, 6, 1), CONTACT, Basis.MOTIVE, 1),
        (date(2026, 6, 1), SINGLE, Basis.DUTY, 2),
        (date(2026, 6, 1), SINGLE, Basis.MOTIVE, 1),
        (date(2026, 6, 1), SINGLE, Basis.UNASKED, 1),
    ]


def test_what_ends_is_counted_in_the_month_of_its_last_day(db: Connection) -> None:
    month = consents.consent_type(db, "month", 30)
    consents.consent(db, cast.customer(db, "C1"), month, date(2026, 6, 1))  # up to 30 June
    consents.consent(db, cast.customer(db, "C2"), month, date(2026, 6, 2))
    consents.consent(db, cast.customer(db, "C3"), month, date(2026, 6, 2), date(2026, 6, 3))
    ending = report(db).ending
    assert (ending[0][0], ending[-1][0], len(ending)) == (date(2025, 12, 1), date(2027, 6, 1), 19)
    assert {first: number for first, number in ending if number} == {date(2026, 6, 1): 2, date(2026, 7, 1): 1}
