"""The gate against the product page's words: whom one may contact, when, and on which basis."""

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
