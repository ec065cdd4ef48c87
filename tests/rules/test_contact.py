"""The gate against the product page's words: whom one may contact, when, and on which basis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from itertools import combinations, product

import pytest

from lifecycle.rules.contact import (
    CONTRACT,
    Allowed,
    Basis,
    Consent,
    ConsentType,
    ContactChannel,
    Customer,
    Missing,
    Motive,
    gate,
)

BULK, SINGLE, CONTACT = ContactChannel.BULK, ContactChannel.SINGLE, ContactChannel.CONTACT
ALL = frozenset(ContactChannel)
DAY = date(2026, 3, 10)
NEWS = ConsentType("news", 10, frozenset({BULK, SINGLE}))
EVER = ConsentType("ever", None, frozenset({CONTACT}))
MOTIVE = Motive("question")


def having(*consents: Consent, **objections: date) -> Customer:
    return Customer(consents, {ContactChannel(channel): day for channel, day in objections.items()})


@pytest.mark.parametrize(
    ("consent", "day", "valid"),
    [
        (Consent(1, NEWS, DAY), date(2026, 3, 9), False),
        (Consent(1, NEWS, DAY), DAY, True),  # on the day it was granted
        (Consent(1, NEWS, DAY), date(2026, 3, 19), True),  # and the 9 days after
        (Consent(1, NEWS, DAY), date(2026, 3, 20), False),
        (Consent(1, EVER, DAY), date(2999, 1, 1), True),
        (Consent(1, EVER, DAY, date(2026, 3, 12)), date(2026, 3, 11), True),
        (Consent(1, EVER, DAY, date(2026, 3, 12)), date(2026, 3, 12), False),  # from the day of its withdrawal on
        (Consent(1, NEWS, DAY, date(2026, 4, 1)), date(2026, 3, 20), False),  # it had lapsed before
        (Consent(1, EVER, DAY, DAY), DAY, False),
    ],
)
def test_a_consent_is_valid_for_its_days_and_until_it_is_withdrawn(consent: Consent, day: date, valid: bool) -> None:
    assert Customer((consent,)).holds(consent, day) == valid


@pytest.mark.parametrize(
    ("customer", "channel", "motive", "asked", "answer"),
    [
        (having(Consent(1, NEWS, DAY)), BULK, None, ALL, Allowed(Basis.CONSENT, consent=1)),
        (having(Consent(1, NEWS, DAY)), SINGLE, None, ALL, Allowed(Basis.CONSENT, consent=1)),
        (having(Consent(1, NEWS, DAY)), CONTACT, None, ALL, Missing.NEVER),
        (having(Consent(1, NEWS, DAY)), CONTACT, MOTIVE, ALL, Allowed(Basis.MOTIVE, motive="question")),
        (having(), SINGLE, MOTIVE, ALL, Allowed(Basis.MOTIVE, motive="question")),
        (having(), SINGLE, None, ALL, Missing.NEVER),
        (having(), BULK, MOTIVE, ALL, Missing.NEVER),  # a motive is no consent to bulk mail
        (having(), BULK, None, ALL - {BULK}, Allowed(Basis.UNASKED)),
        (having(), SINGLE, None, ALL - {SINGLE}, Allowed(Basis.UNASKED)),
        (having(Consent(1, NEWS, date(2026, 2, 1))), BULK, None, ALL, Missing.LAPSED),
        (having(Consent(1, NEWS, date(2026, 3, 8), DAY)), BULK, None, ALL, Missing.WITHDRAWN),
        # of several, any one that is valid is enough
        (having(Consent(1, NEWS, date(2026, 2, 1)), Consent(2, NEWS, DAY)), BULK, None, ALL,
         Allowed(Basis.CONSENT, consent=2)),
        # an objection is stronger than any motive and any switch, except for a duty
        (having(single=DAY), SINGLE, MOTIVE, ALL, Missing.OBJECTED),
        (having(single=DAY), SINGLE, None, ALL - {SINGLE}, Missing.OBJECTED),
        (having(single=DAY), SINGLE, CONTRACT, ALL, Allowed(Basis.DUTY, motive="contract")),
        (having(single=date(2026, 3, 11)), SINGLE, MOTIVE, ALL, Allowed(Basis.MOTIVE, motive="question")),
        (having(contact=DAY), SINGLE, MOTIVE, ALL, Allowed(Basis.MOTIVE, motive="question")),  # per channel
        # the last word counts
        (having(Consent(1, NEWS, date(2026, 3, 9)), bulk=date(2026, 3, 9)), BULK, None, ALL, Missing.OBJECTED),
        (having(Consent(1, NEWS, DAY), bulk=date(2026, 3, 9)), BULK, None, ALL, Allowed(Basis.CONSENT, consent=1)),
    ],
)  # fmt: skip
def test_who_may_be_contacted(
    customer: Customer, channel: ContactChannel, motive: Motive | None, asked: frozenset[ContactChannel],
    answer: Allowed | Missing,
) -> None:  # fmt: skip
    assert gate(customer, channel, DAY, motive, asked) == answer


Held = dict[ContactChannel, date]


@dataclass(frozen=True)
class Case:
    """One question to the gate and its answer, beside what the page's words need to judge it.

    `held` are the channels for which a consent is valid on the day, with the day on which the last such was granted;
    `why_not` is said of the others. `objected_on` is of this channel, and not after the day.
    """

    customer: Customer
    held: Held
    why_not: Missing
    objected_on: date | None
    motive: Motive | None
    channel: ContactChannel
    asks: frozenset[ContactChannel]
    day: date
    answer: Allowed | Missing

    @property
    def consents(self) -> bool:
        """It holds a consent that was not followed by an objection."""
        granted_on = self.held.get(self.channel)
        return granted_on is not None and (self.objected_on is None or granted_on > self.objected_on)

    @property
    def objects(self) -> bool:
        return self.objected_on is not None and not self.consents

    @property
    def is_duty(self) -> bool:
        return self.motive == CONTRACT and self.channel is not BULK


WIDE = ConsentType("wide", 10, ALL)
ENDLESS = ConsentType("endless", None, ALL)


def consent_states(day: date) -> list[tuple[tuple[Consent, ...], Held, Missing]]:
    """Everything that can have become of consents by `day`: for which channels one is valid, judged by hand."""

    def of(type_: ConsentType, granted: int, withdrawn: int | None = None, id_: int = 1) -> Consent:
        return Consent(id_, type_, near(granted), None if withdrawn is None else near(withdrawn))

    def near(days: int) -> date:
        return day + timedelta(days=days)

    def for_all(granted: int) -> Held:
        return dict.fromkeys(ALL, near(granted))

    return [
        ((), {}, Missing.NEVER),
        ((of(WIDE, -5),), for_all(-5), Missing.NEVER),
        ((of(WIDE, 0),), for_all(0), Missing.NEVER),  # its first day
        ((of(WIDE, -9),), for_all(-9), Missing.NEVER),  # its last
        ((of(WIDE, -10),), {}, Missing.LAPSED),
        ((of(ENDLESS, -4_000),), for_all(-4_000), Missing.NEVER),
        ((of(WIDE, -5, 0),), {}, Missing.WITHDRAWN),
        ((of(WIDE, -5, 1),), for_all(-5), Missing.NEVER),  # will be withdrawn tomorrow
        ((of(WIDE, -5, -2), of(WIDE, -2, id_=2)), for_all(-2), Missing.NEVER),  # and granted anew the same day
        ((of(WIDE, -5), of(WIDE, -4, -1, id_=2)), {}, Missing.WITHDRAWN),  # who withdraws means both
        ((of(WIDE, -40), of(WIDE, -1, id_=2)), for_all(-1), Missing.NEVER),  # lapsed and granted anew
        ((of(WIDE, -40, -1),), {}, Missing.WITHDRAWN),
        ((of(WIDE, 1),), {}, Missing.NEVER),  # of tomorrow
        ((of(NEWS, -3), of(EVER, -300, id_=2)),
         {BULK: near(-3), SINGLE: near(-3), CONTACT: near(-300)}, Missing.NEVER),
        ((of(WIDE, -3, -1), of(ENDLESS, -30, id_=2)), for_all(-30), Missing.NEVER),  # one type of two is withdrawn
        ((of(NEWS, -3),), {BULK: near(-3), SINGLE: near(-3)}, Missing.NEVER),
        ((of(EVER, -3),), {CONTACT: near(-3)}, Missing.NEVER),
    ]  # fmt: skip


def objections(channel: ContactChannel, day: date) -> list[tuple[dict[ContactChannel, date], date | None]]:
    """None, of the other channels, and of this one: long before, the day before, on the day and the day after."""
    said = [day - timedelta(days=days) for days in (5_000, 1, 0)]
    return [
        ({}, None),
        (dict.fromkeys(ALL - {channel}, day), None),
        *(({channel: on}, on) for on in said),
        ({channel: day + timedelta(days=1)}, None),
    ]


@cache
def cases() -> list[Case]:
    days = (date(2024, 2, 29), date(2025, 12, 31), date(2026, 3, 10))
    switches = [frozenset(on) for number in range(4) for on in combinations(ContactChannel, number)]
    found = []
    for day, channel, asks, motive in product(days, ContactChannel, switches, (None, MOTIVE, CONTRACT)):
        for (consents, held, why_not), (objected, objected_on) in product(
            consent_states(day), objections(channel, day)
        ):
            customer = Customer(consents, objected)
            answer = gate(customer, channel, day, motive, asks)
            found.append(Case(customer, held, why_not, objected_on, motive, channel, asks, day, answer))
    return found


def where(condition: Callable[[Case], bool]) -> list[Case]:
    found = [case for case in cases() if condition(case)]
    assert found
    return found


def test_any_one_valid_consent_that_allows_the_channel_is_enough() -> None:
    for case in where(lambda case: case.consents and not case.is_duty):
        assert isinstance(case.answer, Allowed), case
        assert case.answer.basis is Basis.CONSENT, case


def test_the_consent_that_is_named_allows_the_channel_and_is_valid() -> None:
    for case in where(lambda case: isinstance(case.answer, Allowed) and case.answer.basis is Basis.CONSENT):
        assert isinstance(case.answer, Allowed)
        [named] = [consent for consent in case.customer.consents if consent.id == case.answer.consent]
        assert case.channel in named.type.channels, case
        assert named.granted_on == case.held[case.channel], case


def test_bulk_mail_goes_only_to_customers_with_a_valid_consent_that_allows_it() -> None:
    for case in where(lambda case: case.channel is BULK and BULK in case.asks):
        assert isinstance(case.answer, Allowed) == case.consents, case


@pytest.mark.parametrize("channel", [SINGLE, CONTACT])
def test_a_mail_or_call_to_one_customer_without_a_valid_consent_needs_a_motive(channel: ContactChannel) -> None:
    for case in where(lambda case: case.channel is channel and channel in case.asks and not case.consents):
        allowed = case.is_duty or (case.motive is not None and not case.objects)
        assert isinstance(case.answer, Allowed) == allowed, case
        if isinstance(case.answer, Allowed):
            assert (case.answer.motive, case.answer.consent) == (case.motive and case.motive.code, None), case


def test_a_switch_that_is_off_asks_for_nothing() -> None:
    for case in where(lambda case: case.channel not in case.asks and not case.objects):
        assert isinstance(case.answer, Allowed), case


def test_a_contact_is_unasked_only_where_its_switch_is_off() -> None:
    for case in where(lambda case: case.answer == Allowed(Basis.UNASKED)):
        assert case.channel not in case.asks, case


def test_a_switch_is_of_its_channel_only() -> None:
    answers: dict[str, set[Allowed | Missing]] = {}
    for case in cases():
        question = (case.customer, case.channel, case.day, case.motive, case.channel in case.asks)
        answers.setdefault(repr(question), set()).add(case.answer)
    assert all(len(each) == 1 for each in answers.values())
    assert len(answers) == len(cases()) // 4


def test_an_objection_is_stronger_than_any_motive_and_any_switch_except_for_a_duty() -> None:
    for case in where(lambda case: case.objects):
        if case.is_duty:
            assert case.answer == Allowed(Basis.DUTY, motive="contract"), case
        else:
            assert case.answer == Missing.OBJECTED, case


def test_a_duty_is_always_one() -> None:
    for case in where(lambda case: case.is_duty):
        assert case.answer == Allowed(Basis.DUTY, motive="contract"), case


def test_a_motive_covers_one_message_and_no_bulk_mail() -> None:
    for case in where(lambda case: case.channel is BULK and case.motive is not None):
        assert case.answer == gate(case.customer, BULK, case.day, None, case.asks), case


def test_what_is_missing_is_said() -> None:
    for case in where(lambda case: isinstance(case.answer, Missing) and not case.objects):
        assert case.answer == case.why_not, case


def test_each_switch_is_on_by_default() -> None:
    for case in where(lambda case: case.asks == ALL):
        assert case.answer == gate(case.customer, case.channel, case.day, case.motive), case


def test_nobody_reaches_who_is_erased() -> None:
    for case in cases():
        erased = replace(case.customer, erased=True)
        assert gate(erased, case.channel, case.day, case.motive, case.asks) == Missing.ERASED, case
