"""What keeps an operator from contacting a customer, in words; and on what a contact rests."""

from dataclasses import replace
from datetime import date

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
from lifecycle.rules.contact_customer import Choice, Wish, choice_of, grounds, refusal, wrong

SINGLE, CONTACT = ContactChannel.SINGLE, ContactChannel.CONTACT
DAY = date(2026, 3, 10)
MAIL = ConsentType("mail", 10, frozenset({SINGLE}))
ALL = ConsentType("all", None, frozenset({SINGLE, CONTACT}))
CHOICES = [Choice(CONTRACT, "Performance of the contract"), Choice(Motive("question"), "An answer")]
WISH = Wish("C1", SINGLE, None, "anna", "Hello", "Dear all")
ANY = "one of: contract (Performance of the contract, a duty), question (An answer)"
DUTIES = "one of: contract (Performance of the contract, a duty)"


def customer(*consents: Consent, **objections: date) -> Customer:
    return Customer(consents, {ContactChannel(channel): day for channel, day in objections.items()})


@pytest.mark.parametrize(
    ("asked", "channel", "motive", "where", "words", "expected"),
    [
        (customer(), SINGLE, None, "motive", "no consent allows single mail, and no motive was chosen", ANY),
        (customer(), CONTACT, None, "motive", "no consent allows calls, and no motive was chosen", ANY),
        # not that one
        (customer(Consent(1, MAIL, DAY)), CONTACT, None,
         "motive", "no consent allows calls, and no motive was chosen", ANY),
        (customer(Consent(1, MAIL, date(2026, 2, 28))), SINGLE, None,
         "motive", "consent mail lapsed on 2026-03-10, and no motive was chosen", ANY),
        # the last one of several
        (customer(Consent(1, MAIL, date(2026, 1, 1)), Consent(2, MAIL, date(2025, 1, 1))), SINGLE, None,
         "motive", "consent mail lapsed on 2026-01-11, and no motive was chosen", ANY),
        (customer(Consent(1, ALL, date(2026, 1, 1), date(2026, 2, 3))), CONTACT, None,
         "motive", "consent all was withdrawn on 2026-02-03, and no motive was chosen", ANY),
        (customer(single=date(2026, 3, 1)), SINGLE, None,
         "motive", "the customer objected to single mail on 2026-03-01: only a motive of duty helps", DUTIES),
        (customer(contact=DAY), CONTACT, Motive("question"),
         "motive", "the customer objected to calls on 2026-03-10: only a motive of duty helps", DUTIES),
        (replace(customer(), erased=True), SINGLE, CONTRACT,
         "customer", "was erased", "one that was not: it can never be contacted again"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_missing_since_when_and_what_can_be_chosen(
    asked: Customer, channel: ContactChannel, motive: Motive | None, where: str, words: str, expected: str
) -> None:
    answer = gate(asked, channel, DAY, motive)
    assert isinstance(answer, Missing)
    found = refusal(asked, channel, DAY, answer, CHOICES)
    assert (found.where, found.problem, found.expected, found.value) == (where, words, expected, "")


@pytest.mark.parametrize(
    ("wish", "places"),
    [
        (WISH, []),
        (replace(WISH, motive="question"), []),
        (replace(WISH, motive="whim"), ["motive"]),
        (replace(WISH, channel=CONTACT), ["subject", "body"]),
        (replace(WISH, channel=CONTACT, subject="", body=""), []),
        (replace(WISH, channel=CONTACT, motive="whim"), ["motive", "subject", "body"]),
    ],
)
def test_all_that_is_wrong_with_a_wish_is_found_at_once(wish: Wish, places: list[str]) -> None:
    assert [finding.where for finding in wrong(wish, CHOICES)] == places


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Allowed(Basis.CONSENT, consent=1), "consent mail of 2026-03-10, valid to 2026-03-19"),
        (Allowed(Basis.CONSENT, consent=2), "consent all of 2026-01-01, without end"),
        (Allowed(Basis.MOTIVE, motive="question"), "motive: question"),
        (Allowed(Basis.DUTY, motive="contract"), "duty: contract"),
        (Allowed(Basis.UNASKED), "no basis is asked for: the channel's switch is off"),
    ],
)
def test_it_is_said_on_what_a_contact_rests(allowed: Allowed, words: str) -> None:
    asked = customer(Consent(1, MAIL, DAY), Consent(2, ALL, date(2026, 1, 1)))
    assert grounds(allowed, asked) == words


def test_one_mail_has_one_key_a_day_and_another_text_reason_customer_or_day_has_another() -> None:
    others = [
        replace(WISH, customer="C2"),
        replace(WISH, motive="question"),
        replace(WISH, subject="HelloD", body="ear all"),
        replace(WISH, body="Dear all "),
    ]
    keys = {wish.mail_key(DAY) for wish in (WISH, replace(WISH, operator="bert"), *others)}
    assert len(keys | {WISH.mail_key(date(2026, 3, 11))}) == 6


def test_the_texts_are_in_no_repr() -> None:
    assert "Hello" not in repr(WISH)
    assert "Dear" not in repr(WISH)


@pytest.mark.parametrize(("chosen", "motive"), [("none", None), ("", None), ("question", "question")])
def test_no_motive_can_be_chosen(chosen: str, motive: str | None) -> None:
    assert choice_of(chosen) == motive
